/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * What the kernel's side and user space exchange. events.py and descriptors.py unpack and pack the same layouts.
 */
#pragma once

#define CALLS 3072 /* 1024 of each architecture: x86-64, x86, x32 */

enum event_kind {
	EVENT_CALL = 1,       /* a call with this outcome, for the first time in this context */
	EVENT_ARGUMENTS = 2,  /* a call with these arguments */
	EVENT_PATHS = 3,      /* a call on paths, or on the file behind a descriptor */
	EVENT_ADDRESS = 4,    /* a socket met an address */
	EVENT_EXECUTED = 5,   /* a program was executed */
	EVENT_CAPABILITY = 6, /* the kernel checked a capability, and the process held it */
	EVENT_SIGNAL = 7,     /* a signal reached its target */
	EVENT_JOINED = 8,     /* a process was moved into the unit's cgroup */
	EVENT_RING = 9,       /* an operation was submitted to an io_uring */
};

enum event_flags {
	FLAG_FIRST = 1,         /* the first program of a process of the service manager: here an Exec line begins */
	FLAG_OWN_MOUNTS = 2,    /* the process has left the mount namespace in which its line began */
	FLAG_ABSOLUTE_0 = 4,    /* the first string is absolute; its base is the root */
	FLAG_ABSOLUTE_1 = 8,
	FLAG_BASE_0 = 16,       /* there is a base for the first string */
	FLAG_BASE_1 = 32,
	FLAG_RESULT = 64,       /* there is a path of the result, or of the descriptor */
	FLAG_CREATED = 128,     /* this open created the file */
	FLAG_DELETED = 256,     /* the file behind the descriptor has no name any more */
	FLAG_PSEUDO = 512,      /* the file behind the descriptor never had one: pipes, sockets, memfd */
	FLAG_NULL_0 = 1024,     /* the first string is NULL */
	FLAG_NULL_1 = 2048,
	FLAG_NO_NEW_PRIVILEGES = 4096,
	FLAG_OWN_TARGET = 8192, /* of a signal: the target is a process of the service */
	FLAG_FOREIGN = 16384,   /* of a signal: the target belongs to another user */
	FLAG_UNREADABLE = 32768,
};

enum loss {
	LOST_RING,        /* the ring was full */
	LOST_PROCESS,     /* the table of processes was full: a child was not followed */
	LOST_STRING,      /* a string of the service could not be read */
	LOST_CUT,         /* a path was longer or deeper than can be followed */
	LOST_FILE,        /* the descriptor that a call returned was gone already */
	LOST_SCRATCH,     /* the working memory was overwritten */
	LOST_NUMBER,      /* a system call number beyond the tables */
	LOST_MESSAGES,    /* more messages in one sendmmsg() than are looked at */
	TABLE_FULL,       /* no loss: what is in no table is sent every time */
	LOSSES,
};

enum descriptor_kind {
	KIND_NONE,
	KIND_ARGUMENTS,
	KIND_PATHS,
	KIND_FILE,
	KIND_MAP,
	KIND_PROTECT,
	KIND_ADDRESS,
	KIND_MESSAGE,
	KIND_ACCEPT,
	KIND_CLONE,
	KIND_SIGNAL,
	KIND_SOCKETCALL,
	KIND_IOCTL,
};

enum descriptor_flags {
	RETURNS_FILE = 1,    /* a success returns a descriptor, whose path is wanted */
	KEEP_RESULT = 2,     /* the result is a part of the behaviour */
	SKIP_EMPTY = 4,      /* an empty or missing path means the descriptor itself: of no interest */
	STRUCT_OPEN_HOW = 8, /* argument 2 is a struct open_how: its flags and mode take the places of 2 and 3 */
	STRUCT_CLONE = 16,   /* argument 0 is a struct clone_args: its flags take its place */
	STRUCT_SCHED = 32,   /* argument 1 is a struct sched_attr: its policy and flags take the places of 1 and 2 */
	ONLY_FAILED = 64,    /* a success is reported elsewhere (execve) */
	INCOMING = 128,      /* the address is that of whoever came by itself */
	SENDING = 256,       /* from a bound socket the address is that of whoever asked */
	MANY = 512,          /* an array of messages */
	FILE_DESCRIPTOR = 1024, /* without a path, the descriptor's own path is wanted */
	STRUCT_CAPABILITIES = 4096, /* argument 1 is what capset() sets: effective, permitted, inheritable; then what was held */
	NOT_A_PATH = 2048,   /* the string is a name of another kind: no base */
};

struct descriptor {
	u16 kind, flags;
	s8 directory[2], string[2]; /* positions of arguments, -1 for none */
	u64 mask[6];                /* of what is kept of each argument */
};

struct event {
	u64 time; /* CLOCK_MONOTONIC, ns */
	u64 args[6];
	s64 result;
	u64 extra[4];
	u32 kind, flags;
	u32 epoch, line;
	u32 uid, call;
	u32 error, mode;
	u32 device, used;          /* used: bytes of data behind this header */
	u32 pid, tgid;             /* in the machine's own PID namespace */
	u32 leader, reserved;      /* the process with which the line began */
	u16 lengths[5];            /* string 0, string 1, base 0, base 1, result */
	u16 roots[3];              /* how much of base 0, base 1 and the result lies above the process's root */
	char comm[16];
};

struct settings {
	u64 nonce; /* 0: none */
	u32 pid_namespace, processors;
};

/* Changed by user space while the programs run. */
struct control {
	u32 epoch, lines;
	u64 cgroup_id;
	u32 cgroup_level, path_length;
	u32 anywhere, members; /* anywhere: the path is known by its end only */
	char path[512];
};
