/** The numbers of Linux's io_uring (include/uapi/linux/io_uring.h), as x86-64 and arm64 share them. */

/** Operations. */
export const OP_NOP = 0;
export const OP_POLL_ADD = 6;
export const OP_SENDMSG = 9;
export const OP_ASYNC_CANCEL = 14;
export const OP_SEND = 26;
export const OP_RECV = 27;

/** Of an entry: take a provided buffer; report the completion only if it is a failure. */
export const SQE_BUFFER_SELECT = 1 << 5;
export const SQE_SKIP_SUCCESS = 1 << 6;
export const RECV_MULTISHOT = 1 << 1;

/** Of a completion: it has a buffer, whose number is in the upper 16 bits; more completions of this operation follow. */
export const CQE_BUFFER = 1 << 0;
export const CQE_MORE = 1 << 1;
export const CQE_BUFFER_SHIFT = 16;

/** Of io_uring_setup. */
export const SETUP_CQSIZE = 1 << 3;
export const SETUP_SUBMIT_ALL = 1 << 7;
export const SETUP_SINGLE_ISSUER = 1 << 12;
export const SETUP_DEFER_TASKRUN = 1 << 13;
/** What io_uring_setup says that the kernel can. */
export const FEAT_SINGLE_MMAP = 1 << 0;
export const FEAT_NODROP = 1 << 1;
export const FEAT_EXT_ARG = 1 << 8;
export const FEAT_CQE_SKIP = 1 << 11;

/** Of io_uring_enter. */
export const ENTER_GETEVENTS = 1 << 0;
export const ENTER_EXT_ARG = 1 << 3;
/** A flag of the submission ring: completions wait in the kernel, for which the completion ring had no room. */
export const SQ_CQ_OVERFLOW = 1 << 1;

/** Of io_uring_register. */
export const REGISTER_PROBE = 8;
export const REGISTER_PBUF_RING = 22;

/** Where mmap finds the rings (both in one, FEAT_SINGLE_MMAP) and the entries. */
export const OFFSET_RINGS = 0;
export const OFFSET_ENTRIES = 0x10000000;
