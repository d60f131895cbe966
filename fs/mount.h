/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One mount: an operator, its cache, and the FUSE session that serves them. The program opens the operator,
 * calls dal_mount_new(), detaches when `ready` is called, and returns when dal_mount_serve() does.
 *
 * Threads: dal_mount_new() and dal_mount_serve() from one thread, before which no other thread need exist
 * (the daemon forks first). dal_mount_stop() from a signal-handling thread of the mount itself.
 */

#include "core/operator.h"

struct dal_mount;

/*
 * The mount's own options: ro, allow_other, allow_root, uid, gid, umask, fmask, dmask, noatime, ttl, attrs,
 * memory, cache_dir, durability, profile, log_*, … Generic ones of mount(8) and fstab (rw, dev, exec, suid,
 * _netdev, auto, noauto, nofail, user, users, x-*, …) are taken and, where they mean nothing here, ignored.
 */
extern const struct dal_option dal_mount_options[];

/* True for an -o word that mount(8), fstab or systemd may pass and that needs no action: "_netdev",
 * "x-systemd.automount". */
bool dal_mount_option_ignored(const char *word);

/*
 * Checks the mount point (there, a directory, not mounted by us already; a dead FUSE mount (ENOTCONN) is
 * cleaned up), probes the store, and mounts. @cfg holds dal_mount_options; @op is borrowed until
 * dal_mount_free().
 * @source shows in mountinfo: without secrets.
 */
int dal_mount_new(struct dal_call *call, struct dal_operator *op, const struct dal_config *cfg,
	const char *source, const char *mountpoint, struct dal_mount **ret_mount);

/*
 * Serves until unmounted. @ready is called once, when the kernel's INIT has been answered. SIGTERM and SIGINT
 * ask for a plain unmount while still serving, wait for it until the deadline while it is busy, drain, and
 * only then detach lazily; a second one leaves at once. SIGHUP reopens the log and drops name caches. All
 * dirty data is in the store when this returns 0; otherwise the error says what is not.
 */
int dal_mount_serve(struct dal_mount *m, struct dal_call *call, void (*ready)(void *arg), void *arg);

/* Takes NULL; returns NULL. */
struct dal_mount *dal_mount_free(struct dal_mount *m);

/*
 * Unmounts the dalfs at @mountpoint and returns when its daemon has put all data in the store and is gone, or
 * at the call's deadline. Works from any process of the mount's owner or root.
 */
int dal_unmount(struct dal_call *call, const char *mountpoint, bool lazy);
