/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One sink for the process: the only state here that outlives a call, since a log belongs to the program and
 * not to a mount. A line is put together and redacted on the writer's stack and leaves in one write(2), so
 * lines of several threads and processes never mix.
 */

#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_LEN 2048

static struct {
	pthread_mutex_t lock;
	_Atomic int level; /* atomic; -1 when there is no sink */
	enum dal_log_to to; /* guarded by lock */
	int fd; /* guarded by lock; -1 when not a file */
	char *file; /* guarded by lock, owned */
} sink = { .lock = PTHREAD_MUTEX_INITIALIZER, .level = -1, .to = DAL_LOG_TO_NONE, .fd = -1 };

static const char *const level_names[] = {
	[DAL_LOG_ERROR] = "error",
	[DAL_LOG_WARN] = "warn",
	[DAL_LOG_INFO] = "info",
	[DAL_LOG_DEBUG] = "debug",
	[DAL_LOG_TRACE] = "trace",
};

static int open_file(const char *file)
{
	return open(file, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0600);
}

int dal_log_open(struct dal_call *call, enum dal_log_to to, const char *file, enum dal_log_level level)
{
	DAL_CLEANUP(dal_fd_closep) int fd = -1;
	DAL_CLEANUP(dal_mem_freep) char *copy = NULL;
	int old_fd;
	char *old_file;

	if (to == DAL_LOG_TO_FILE) {
		copy = strdup(file);
		if (!copy)
			return dal_fail_nomem(call);
		fd = open_file(file);
		if (fd < 0)
			return dal_fail_errno(call, errno, "log file %s", file);
	}
	if (to == DAL_LOG_TO_SYSLOG)
		openlog("dalfs", LOG_PID | LOG_NDELAY, LOG_DAEMON);
	pthread_mutex_lock(&sink.lock);
	old_fd = sink.fd;
	old_file = sink.file;
	sink.to = to;
	sink.fd = fd;
	sink.file = dal_take(&copy);
	atomic_store(&sink.level, to == DAL_LOG_TO_NONE ? -1 : (int)level);
	pthread_mutex_unlock(&sink.lock);
	fd = old_fd; /* closed by the cleanup */
	free(old_file);
	return 0;
}

void dal_log_reopen(void)
{
	pthread_mutex_lock(&sink.lock);
	if (sink.to == DAL_LOG_TO_FILE) {
		int fd = open_file(sink.file);

		/* A file that cannot be opened now keeps the old one: better a rotated log than none. */
		if (fd >= 0) {
			close(sink.fd);
			sink.fd = fd;
		}
	}
	pthread_mutex_unlock(&sink.lock);
}

bool dal_log_level_parse(const char *name, enum dal_log_level *ret_level)
{
	size_t i;

	for (i = 0; i < DAL_COUNT_OF(level_names); i++)
		if (strcasecmp(name, level_names[i]) == 0) {
			*ret_level = (enum dal_log_level)i;
			return true;
		}
	return false;
}

bool dal_log_on(enum dal_log_level level)
{
	return (int)level <= atomic_load_explicit(&sink.level, memory_order_relaxed);
}

/* "2024-05-01T12:00:00.123Z " into @out. */
static size_t stamp(char *out, size_t size)
{
	struct timespec ts;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (!gmtime_r(&ts.tv_sec, &tm))
		return 0;
	n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
	return n + (size_t)snprintf(out + n, size - n, ".%03ldZ ", ts.tv_nsec / 1000000);
}

static void write_all(int fd, const char *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* a full disk must not stop the program: the line is lost */
		p += n;
		len -= (size_t)n;
	}
}

static void emit(enum dal_log_level level, char *line, size_t len, const char *message)
{
	static const int priorities[] = { LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG, LOG_DEBUG };
	int saved = errno;

	pthread_mutex_lock(&sink.lock);
	switch (sink.to) {
	case DAL_LOG_TO_NONE:
		break;
	case DAL_LOG_TO_STDERR:
		write_all(STDERR_FILENO, line, len);
		break;
	case DAL_LOG_TO_FILE:
		write_all(sink.fd, line, len);
		break;
	case DAL_LOG_TO_SYSLOG:
		line[len - 1] = '\0';
		syslog(priorities[level], "%s", message);
		break;
	}
	pthread_mutex_unlock(&sink.lock);
	errno = saved;
}

void dal_log(enum dal_log_level level, const char *fmt, ...)
{
	char line[LINE_MAX_LEN + 2];
	size_t head, len;
	va_list ap;
	char *p;

	if (!dal_log_on(level))
		return;
	head = stamp(line, LINE_MAX_LEN);
	head += (size_t)snprintf(line + head, LINE_MAX_LEN - head, "%-5s ", level_names[level]);
	va_start(ap, fmt);
	vsnprintf(line + head, LINE_MAX_LEN - head, fmt, ap);
	va_end(ap);
	dal_redact(line + head);
	for (p = line + head; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = *p == '\n' || *p == '\r' || *p == '\t' ? ' ' : '?';
	len = (size_t)(p - line);
	line[len++] = '\n';
	line[len] = '\0';
	emit(level, line, len, line + head);
}
