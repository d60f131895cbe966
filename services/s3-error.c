/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a refusal means: first by S3's code, which is exact, then by the HTTP status. Whether something is
 * *not there* is believed only of S3 itself: a 404 without S3's error body (or, for HEAD, without its request
 * id) comes from something in between, and a name must not vanish for that.
 */

#include <inttypes.h>
#include <string.h>

#include "services/s3-credentials.h"
#include "services/s3-request.h"

struct meaning {
	const char *code;
	enum dal_kind kind;
	bool temporary;
	const char *hint; /* which option fixes it; NULL for none */
};

/* clang-format off */
static const struct meaning meanings[] = {
	{ "NoSuchKey", DAL_NOT_FOUND, false, NULL },
	{ "NoSuchUpload", DAL_NOT_FOUND, false, NULL },
	{ "NoSuchVersion", DAL_NOT_FOUND, false, NULL },
	{ "NoSuchBucket", DAL_CONFIG_INVALID, false, "check the bucket's name and option endpoint" },
	{ "InvalidBucketName", DAL_CONFIG_INVALID, false, "check the bucket's name" },
	{ "AccessDenied", DAL_PERMISSION_DENIED, false, NULL },
	{ "AllAccessDisabled", DAL_PERMISSION_DENIED, false, NULL },
	{ "AccountProblem", DAL_PERMISSION_DENIED, false, NULL },
	{ "InvalidAccessKeyId", DAL_PERMISSION_DENIED, false, "check the access key (option access_key_id, profile)" },
	{ "SignatureDoesNotMatch", DAL_PERMISSION_DENIED, false, "check the secret key (option secret_access_key, profile)" },
	{ "InvalidObjectState", DAL_PERMISSION_DENIED, false, "the object is archived: restore it first" },
	{ "ExpiredToken", DAL_PERMISSION_DENIED, true, "the session token has expired" },
	{ "InvalidToken", DAL_PERMISSION_DENIED, true, "check option session_token" },
	{ "TokenRefreshRequired", DAL_PERMISSION_DENIED, true, NULL },
	{ "RequestTimeTooSkewed", DAL_PERMISSION_DENIED, true, NULL },
	{ "AuthorizationHeaderMalformed", DAL_CONFIG_INVALID, false, "check option region" },
	{ "PermanentRedirect", DAL_CONFIG_INVALID, false, "check options region and endpoint" },
	{ "PreconditionFailed", DAL_CONDITION_NOT_MATCH, false, NULL },
	{ "ConditionalRequestConflict", DAL_CONDITION_NOT_MATCH, true, NULL },
	{ "InvalidRange", DAL_RANGE_NOT_SATISFIED, false, NULL },
	{ "KeyTooLongError", DAL_TOO_LONG, false, NULL },
	{ "KeyTooLong", DAL_TOO_LONG, false, NULL },
	{ "InvalidObjectName", DAL_UNSUPPORTED, false, NULL },
	{ "XMinioInvalidObjectName", DAL_UNSUPPORTED, false, NULL },
	{ "XMinioInvalidResourceName", DAL_UNSUPPORTED, false, NULL },
	{ "XMinioParentIsObject", DAL_NOT_A_DIRECTORY, false, "this server keeps no object below another" },
	{ "XMinioObjectExistsAsDirectory", DAL_IS_A_DIRECTORY, false, NULL },
	{ "QuotaExceeded", DAL_NO_SPACE, false, NULL },
	{ "ServiceQuotaExceeded", DAL_NO_SPACE, false, NULL },
	{ "XMinioStorageFull", DAL_NO_SPACE, false, NULL },
	{ "XMinioAdminBucketQuotaExceeded", DAL_NO_SPACE, false, NULL },
	{ "MethodNotAllowed", DAL_UNSUPPORTED, false, NULL },
	{ "NotImplemented", DAL_UNSUPPORTED, false, NULL },
	{ "SlowDown", DAL_RATE_LIMITED, true, NULL },
	{ "TooManyRequests", DAL_RATE_LIMITED, true, NULL },
	{ "RequestLimitExceeded", DAL_RATE_LIMITED, true, NULL },
	{ "BandwidthLimitExceeded", DAL_RATE_LIMITED, true, NULL },
	{ "ServiceUnavailable", DAL_UNEXPECTED, true, NULL },
	{ "InternalError", DAL_UNEXPECTED, true, NULL },
	{ "OperationAborted", DAL_UNEXPECTED, true, NULL },
	{ "RequestTimeout", DAL_UNEXPECTED, true, NULL },
	{ "IncompleteBody", DAL_UNEXPECTED, true, NULL },
	{ "BadDigest", DAL_UNEXPECTED, true, NULL },
	{ "InvalidDigest", DAL_UNEXPECTED, true, NULL },
	{ "XAmzContentSHA256Mismatch", DAL_UNEXPECTED, true, NULL },
	{ "XAmzContentChecksumMismatch", DAL_UNEXPECTED, true, NULL },
};
/* clang-format on */

static bool is_head(const struct dal_s3_request *req)
{
	return !strcmp(req->method, "HEAD");
}

static struct meaning by_status(const struct dal_s3_request *req)
{
	const struct dal_s3_answer *a = &req->answer;
	bool ours = a->shaped || (is_head(req) && a->from_s3);

	switch (a->status) {
	case 304:
	case 412:
		return (struct meaning){ .kind = DAL_CONDITION_NOT_MATCH };
	case 401:
	case 403:
		return (struct meaning){ .kind = DAL_PERMISSION_DENIED };
	case 407:
		return (struct meaning){ .kind = DAL_PERMISSION_DENIED,
			.hint = "the proxy wants a login: option proxy" };
	case 404:
		if (ours)
			return (struct meaning){ .kind = DAL_NOT_FOUND };
		break;
	case 409:
		return (struct meaning){ .kind = DAL_UNEXPECTED, .temporary = true };
	case 416:
		return (struct meaning){ .kind = DAL_RANGE_NOT_SATISFIED };
	case 429:
		return (struct meaning){ .kind = DAL_RATE_LIMITED, .temporary = true };
	case 501:
		return (struct meaning){ .kind = DAL_UNSUPPORTED };
	case 507:
		return (struct meaning){ .kind = DAL_NO_SPACE };
	default:
		break;
	}
	if (a->status >= 300 && a->status < 400)
		return (struct meaning){
			.kind = a->status == 307 ? DAL_UNEXPECTED : DAL_CONFIG_INVALID,
			.temporary = a->status == 307,
			.hint = "a redirect to elsewhere is not followed: check options endpoint and region"
		};
	/* An error in a 200 is S3's way to fail after it had begun to answer. */
	if (a->status >= 200 && a->status < 300)
		return (struct meaning){ .kind = DAL_UNEXPECTED, .temporary = true };
	return (struct meaning){ .kind = DAL_UNEXPECTED,
		.temporary = a->status >= 500 || !ours,
		.hint = ours || a->status >= 500
				? NULL
				: "this is not an answer of S3: check option endpoint, or a proxy between" };
}

static struct meaning meaning_of(const struct dal_s3_request *req)
{
	const struct dal_s3_answer *a = &req->answer;

	for (size_t i = 0; a->shaped && i < DAL_COUNT_OF(meanings); i++)
		if (!strcmp(meanings[i].code, a->error.code))
			return meanings[i];
	return by_status(req);
}

/* "; your clock is 900 s behind the server's", in @ret. */
static bool clock_hint(struct dal_s3 *s, const struct dal_s3_answer *a, struct dal_buf *ret)
{
	int64_t off = a->date_ns ? (a->date_ns - dal_wall_ns()) / (int64_t)DAL_NS_PER_S : 0;

	if (strcmp(a->error.code, "RequestTimeTooSkewed") != 0)
		return true;
	return dal_buf_printf(ret, "; this machine's clock is %" PRId64 " s %s the server's",
		off < 0 ? -off : off, off < 0 ? "ahead of" : "behind");
}

int dal_s3_refused(struct dal_s3 *s, struct dal_call *call, const struct dal_s3_request *req)
{
	const struct dal_s3_answer *a = &req->answer;
	struct meaning m = meaning_of(req);
	struct dal_buf text = DAL_BUF_INIT(1024);
	bool ok = dal_buf_printf(&text, "%d", a->status);
	size_t len = strlen(a->error.message);
	int r;

	/* Sentences of servers end in a full stop, and this one goes on. */
	while (len && a->error.message[len - 1] == '.')
		len--;
	if (a->shaped)
		ok = ok && dal_buf_printf(&text, " %s%s%.*s", a->error.code, len ? " - " : "",
				   (int)DAL_MIN(len, (size_t)120), a->error.message);
	else if (!is_head(req) && a->media_type[0])
		ok = ok && dal_buf_printf(&text, " (%s, not S3's XML)", a->media_type);
	if (m.hint)
		ok = ok && dal_buf_printf(&text, "; %s", m.hint);
	ok = ok && clock_hint(s, a, &text);
	if (a->error.request_id[0])
		ok = ok && dal_buf_printf(&text, " (request %s)", a->error.request_id);
	r = (m.temporary ? dal_fail_temporary : dal_fail)(call, m.kind, "%s s3://%s/%.80s: %s", req->method,
		s->bucket, req->key ? req->key : "", ok ? text.data : "refused");
	call->err.retry_after_ns = a->retry_after_ns;
	dal_buf_done(&text);
	if (s->credentials && a->shaped &&
		(!strcmp(a->error.code, "ExpiredToken") || !strcmp(a->error.code, "TokenRefreshRequired") ||
			!strcmp(a->error.code, "InvalidToken")))
		dal_s3_credentials_invalidate(s->credentials);
	return r;
}

int dal_s3_wrong_answer(
	struct dal_s3 *s, struct dal_call *call, const struct dal_s3_request *req, const char *why)
{
	return dal_fail_temporary(call, DAL_UNEXPECTED, "%s s3://%s/%.100s: %s", req->method, s->bucket,
		req->key ? req->key : "", why);
}
