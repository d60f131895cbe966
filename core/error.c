/* SPDX-License-Identifier: Apache-2.0 */

/* The stable names of the error kinds, as OpenDAL spells those it has. */

#include "core/error.h"

const char *dal_kind_name(enum dal_kind kind)
{
	switch (kind) {
	case DAL_OK:
		return "Ok";
	case DAL_UNEXPECTED:
		return "Unexpected";
	case DAL_UNSUPPORTED:
		return "Unsupported";
	case DAL_CONFIG_INVALID:
		return "ConfigInvalid";
	case DAL_NOT_FOUND:
		return "NotFound";
	case DAL_PERMISSION_DENIED:
		return "PermissionDenied";
	case DAL_IS_A_DIRECTORY:
		return "IsADirectory";
	case DAL_NOT_A_DIRECTORY:
		return "NotADirectory";
	case DAL_ALREADY_EXISTS:
		return "AlreadyExists";
	case DAL_RATE_LIMITED:
		return "RateLimited";
	case DAL_IS_SAME_FILE:
		return "IsSameFile";
	case DAL_CONDITION_NOT_MATCH:
		return "ConditionNotMatch";
	case DAL_RANGE_NOT_SATISFIED:
		return "RangeNotSatisfied";
	case DAL_NOT_EMPTY:
		return "NotEmpty";
	case DAL_NO_SPACE:
		return "NoSpace";
	case DAL_TOO_LONG:
		return "TooLong";
	case DAL_TIMED_OUT:
		return "TimedOut";
	case DAL_CANCELLED:
		return "Cancelled";
	case DAL_NO_MEMORY:
		return "NoMemory";
	case DAL_READ_ONLY:
		return "ReadOnly";
	}
	return "Unknown";
}
