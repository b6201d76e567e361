// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The kernel's side of the eBPF recorder.
 *
 * Everything is read when a system call returns: the arguments are still there, the result is known, and the strings
 * are in memory because the kernel has just read them. Each distinct behaviour is sent once, when it is first seen; all
 * else stays in tables here. What cannot be read, kept or sent is counted.
 */
#ifdef BY_BCC
#include "by_bcc.h"
#else
#include "by_clang.h"
#endif
#include "protocol.h"

#define PATH_SIZE 4096
#define DATA_MASK 0x7fff
#define KEPT_SHORT 64
#define KEPT_TEXT 208     /* of strings shorter than that each is known by itself; longer ones are sent every time */
#define KNOWN 64          /* short paths that each processor remembers */
#define HEAD 160          /* bytes of a file, dentry or inode that are read at once: one read costs as much as ten bytes */
#define MOST_COMPONENTS 512
#define MOST_MESSAGES 16
#define FRAMES 16
#define FRAMES_KEPT 10

#define TS_COMPAT 2
#define X32_BIT 0x40000000
#define FMODE_CREATED 0x100000
#define PF_FORKNOEXEC 0x40
#define PF_IO_WORKER 0x10
#define PFA_NO_NEW_PRIVS 1
#define PROT_EXEC 4
#define MAP_ANONYMOUS 0x20
#define NAMESPACES 0x7e020080ULL
#define AT_FDCWD -100
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define SOCK_BINDPORT_LOCK 8
#define CAP_SETGID 6
#define CAP_SETUID 7
#define CAP_SETPCAP 8
#define CAP_SYS_ADMIN 21
#define CAP_SYS_NICE 23
#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define S_IFDIR 0040000
#define ENROL_MAGIC 0x554e5441
#define EFAULT 14
#define ENAMETOOLONG 36
#define ERESTARTSYS 512

/* linux/io_uring.h; include/linux/io_uring_types.h */
#define IORING_OP_SENDMSG 9
#define IORING_OP_CONNECT 16
#define IORING_OP_OPENAT 18
#define IORING_OP_STATX 21
#define IORING_OP_OPENAT2 28
#define IORING_OP_RENAMEAT 35
#define IORING_OP_UNLINKAT 36
#define IORING_OP_MKDIRAT 37
#define IORING_OP_SYMLINKAT 38
#define IORING_OP_LINKAT 39
#define IORING_OP_SOCKET 45
#define REQ_F_FIXED_FILE 1

#ifndef EEXIST
#define EEXIST 17
#endif

/* Written and copied as words: to read a word just after its parts were written takes longer than all of that. */
struct context {
	union {
		struct {
			u32 line, uid;
		};
		u64 who;
	};
	union {
		struct {
			u16 call, error;
			u16 epoch, flags;
		};
		u64 what;
	};
};

/*
 * Of a file. Inode numbers come again when files go, one file can have several names, and be reached through several
 * mounts: hence all of these. Pointers stand for what they point to; reading that would cost more.
 */
struct identity {
	u64 inode, mount, parent;
	u64 name; /* the hash of its name; in a key above that the length of the string that stands beside it */
};

struct arguments_key {
	struct context context;
	u64 args[6];
	s64 result;
};

/*
 * One short path, or none: by far the most frequent. The place is where a relative path starts from, otherwise the file
 * that came of it.
 */
struct name_key {
	struct context context;
	u64 args[3], root[2];
	struct identity place;
	u8 text[KEPT_SHORT];
};

/* One short path where there are both. */
struct file_key {
	struct identity result;
	struct name_key name;
};

/* Two paths, or a long one. Begins like the shorter ones: which of them it is turns out late. */
struct paths_key {
	struct identity result;
	struct context context;
	u64 args[3], root[2];
	struct identity place;
	u8 text[KEPT_TEXT];
	struct identity other;
};

struct address_key {
	struct context context;
	u32 family, type, protocol, bound;
	struct identity base;
	u64 root, length;
	u8 bytes[112];
};

struct capability_key {
	struct context context;
	u32 capability, nice; /* which one; whether CAP_SYS_NICE was held, with which some checks are content as well */
	u64 frames[FRAMES_KEPT];
};

struct tracked {
	u32 line, leader;
	u32 mounts, users;  /* of the line's beginning: mount namespace, level of the user namespace */
	u32 waiting;        /* for the execve of the command that is to be recorded */
	u32 user;           /* effective, before the call under way */
	u32 last, none;     /* the call that returned last */
	u32 effective[2];   /* user and group id before the execve under way */
	u64 permitted;
	u64 seen[8];        /* a bit for each call of x86-64 whose success was marked already for this user and epoch */
	u64 seen_for;
	u64 recent[8];      /* of all others, those that were marked last */
};

struct walk {
	struct dentry *dentry, *root_dentry;
	struct vfsmount *mount, *root_mount;
	u32 position, root_position, finished, failed;
};

struct scratch {
	struct event event;
	u8 data[DATA_MASK + 1 + PATH_SIZE]; /* directly behind the event: both are sent as one */
	struct descriptor descriptor;
	struct paths_key paths;
	struct file_key known[KNOWN];
	u8 head[HEAD];
	struct arguments_key arguments;
	struct address_key address;
	struct capability_key capability;
	struct walk walk;
	u64 stack[FRAMES];
	struct context context;
	u64 raw[8]; /* the arguments as they were given; the event has what is kept of them */
	s64 result;
	u32 leader;
	u32 of_kernel; /* the strings are in the kernel's memory */
	struct dentry *dentries[4];
	struct vfsmount *mounts[4];
	u32 owner, none;
	u8 buffer[PATH_SIZE + 512];
};

#define TABLE(NAME, KEY, ENTRIES) BPF_TABLE_OF(NAME, BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, KEY, u8, ENTRIES)

TABLE(calls, struct context, 65536);
TABLE(arguments, struct arguments_key, 65536);
TABLE(names, struct name_key, 262144);
TABLE(files, struct file_key, 131072);
TABLE(paths, struct paths_key, 131072);
TABLE(addresses, struct address_key, 65536);
TABLE(capabilities, struct capability_key, 16384);
BPF_TABLE_OF(tracked, BPF_MAP_TYPE_HASH, 0, u32, struct tracked, 65536);

/* The numbers of the service's processes on the machine, also of those that have ended: user space asks whose it was. */
BPF_TABLE_OF(members, BPF_MAP_TYPE_LRU_HASH, 0, u32, u8, 65536);
BPF_TABLE_OF(descriptors, BPF_MAP_TYPE_ARRAY, 0, u32, struct descriptor, CALLS);
BPF_TABLE_OF(scratches, BPF_MAP_TYPE_ARRAY, 0, u32, struct scratch, 1); /* for each processor two, set before loading */
BPF_TABLE_OF(losses, BPF_MAP_TYPE_PERCPU_ARRAY, 0, u32, u64, LOSSES);
BPF_RING(ring, 32 << 20);

BPF_CONSTANTS(struct settings, constants);
BPF_VARIABLES(struct control, shared);

static __always_inline void lose(u32 kind)
{
	u64 *count = bpf_map_lookup_elem(MAP(losses), &kind);

	if (count)
		*count += 1;
}

static __always_inline struct scratch *scratch_of_cpu(void)
{
	u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(MAP(scratches), &cpu);
}

static __always_inline int first_sight(void *table, const void *key)
{
	u8 present = 1;
	long error;

	if (bpf_map_lookup_elem(table, key))
		return 0;
	error = bpf_map_update_elem(table, key, &present, BPF_NOEXIST);
	if (error && error != -EEXIST)
		lose(TABLE_FULL);
	return 1;
}

/* Where the working memory belongs to another task meanwhile, what would be sent is not true. */
static __always_inline int deliver(struct scratch *s, void *table, const void *key)
{
	u32 used = s->event.used & DATA_MASK;

	if (s->owner != (u32)bpf_get_current_pid_tgid())
		lose(LOST_SCRATCH);
	else if (bpf_ringbuf_output(MAP(ring), &s->event, sizeof(struct event) + used, 0) == 0)
		return 1;
	else
		lose(LOST_RING);
	if (table)
		bpf_map_delete_elem(table, key);
	return 0;
}

/* The number of a task in the PID namespace of the machine that is studied; 0 if it has none there. */
STATIC_SUBPROGRAM(machine_number, struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	u32 level = BPF_CORE_READ(pid, level);
	struct pid_namespace *space;
	struct upid number;

	for (u32 i = 0; i < 8; i++) {
		void *at = (void *)pid + bpf_core_field_offset(struct pid, numbers) + i * sizeof(struct upid);
		u32 depth = i;

		asm volatile("" : "+r"(depth)); /* or the compiler counts to the level only, and the kernel sees no end */
		if (depth > level)
			break;
		if (bpf_probe_read_kernel(&number, sizeof(number), at))
			break;
		space = number.ns;
		if (BPF_CORE_READ(space, ns.inum) == constants.pid_namespace)
			return number.nr;
	}
	return 0;
}

static __always_inline u32 mount_namespace(struct task_struct *task)
{
	return BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
}

static __always_inline void note_member(u32 number)
{
	u8 present = 1;

	if (number)
		bpf_map_update_elem(MAP(members), &number, &present, BPF_ANY);
}

/* What a process is where the recording of it begins. */
static __always_inline void start_line(struct tracked *t, struct task_struct *task)
{
	t->leader = machine_number(BPF_CORE_READ(task, group_leader));
	note_member(t->leader);
	t->mounts = mount_namespace(task);
	t->users = BPF_CORE_READ(task, cred, user_ns, level);
	t->permitted = ~0ULL;
	t->user = BPF_CORE_READ(task, cred, euid.val);
}

static __always_inline void set_context(struct context *context, struct tracked *t, u32 uid, u32 call, u32 error)
{
	context->who = t->line | (u64)uid << 32;
	context->what = (call & 0xffff) | (u64)(error & 0xffff) << 16 | (u64)(shared.epoch & 0xffff) << 32;
}

/* Fills the header from the context; args, result and the parts of data are the caller's. */
static __always_inline void describe(struct scratch *s, u32 kind, const struct context *context, u32 leader)
{
	struct task_struct *task = bpf_get_current_task_btf();

	s->event.time = bpf_ktime_get_ns();
	s->event.kind = kind;
	s->event.epoch = context->epoch;
	s->event.line = context->line;
	s->event.uid = context->uid;
	s->event.call = context->call;
	s->event.error = context->error;
	s->event.pid = machine_number(task);
	s->event.tgid = machine_number(BPF_CORE_READ(task, group_leader));
	s->event.leader = leader;
	bpf_get_current_comm(s->event.comm, sizeof(s->event.comm));
}

static __always_inline void reset(struct scratch *s)
{
	__builtin_memset(&s->event, 0, sizeof(s->event));
	s->owner = bpf_get_current_pid_tgid();
}

/* ---- paths ---- */

LOOP_BODY(walk_step)
{
	struct scratch *s = scratch_of_cpu();
	struct dentry *dentry, *parent;
	struct vfsmount *mount;
	const unsigned char *name;
	u32 length, position;

	if (!s)
		return 1;
	dentry = s->walk.dentry;
	mount = s->walk.mount;
	if (dentry == s->walk.root_dentry && mount == s->walk.root_mount)
		s->walk.root_position = s->walk.position;
	parent = BPF_CORE_READ(dentry, d_parent);
	if (dentry == BPF_CORE_READ(mount, mnt_root) || dentry == parent) {
		struct mount *real = (void *)mount - bpf_core_field_offset(struct mount, mnt);
		struct mount *above = BPF_CORE_READ(real, mnt_parent);

		if (above == real || !above) {
			s->walk.finished = 1;
			return 1;
		}
		s->walk.dentry = BPF_CORE_READ(real, mnt_mountpoint);
		s->walk.mount = (void *)above + bpf_core_field_offset(struct mount, mnt);
		return 0;
	}
	length = BPF_CORE_READ(dentry, d_name.len);
	name = BPF_CORE_READ(dentry, d_name.name);
	position = s->walk.position;
	if (length > 255 || length + 1 > position) {
		s->walk.failed = 1;
		return 1;
	}
	position -= length;
	asm volatile("" : "+r"(position));
	position &= PATH_SIZE - 1;
	asm volatile("" : "+r"(length));
	length &= 255;
	if (bpf_probe_read_kernel(&s->buffer[position], length, name)) {
		s->walk.failed = 1;
		return 1;
	}
	position -= 1;
	asm volatile("" : "+r"(position));
	position &= PATH_SIZE - 1;
	s->buffer[position] = '/';
	s->walk.position = position;
	s->walk.dentry = parent;
	return 0;
}

/*
 * Appends the path of s->dentries[which] to the data, up to the very top of its mount tree; how much of it lies above
 * the root of the process is told separately. Slots: base 0, base 1, result.
 */
SUBPROGRAM(append_path, u32 which)
{
	struct scratch *s = scratch_of_cpu();
	struct task_struct *task = bpf_get_current_task_btf();
	u32 used, length, root;

	if (!s || which > 2)
		return 0;
	asm volatile("" : "+r"(which));
	which &= 3; /* it is smaller anyway; this is for the kernel's check */
	s->walk.dentry = s->dentries[which];
	s->walk.mount = s->mounts[which];
	s->walk.root_dentry = BPF_CORE_READ(task, fs, root.dentry);
	s->walk.root_mount = BPF_CORE_READ(task, fs, root.mnt);
	s->walk.position = PATH_SIZE - 1;
	s->walk.root_position = 0;
	s->walk.finished = 0;
	s->walk.failed = 0;
	if (!s->walk.dentry)
		return 0;
	bpf_loop(MOST_COMPONENTS, CALLBACK(walk_step), NULL, 0);
	if (!s->walk.finished || s->walk.failed) {
		lose(LOST_CUT);
		s->event.flags &= ~(FLAG_BASE_0 << which); /* base 0, base 1, result: one bit after the other */
		return 0;
	}
	length = PATH_SIZE - 1 - s->walk.position;
	root = s->walk.root_position ? s->walk.root_position - s->walk.position : 0;
	used = s->event.used & DATA_MASK;
	length &= PATH_SIZE - 1;
	if (bpf_probe_read_kernel(&s->data[used], length, &s->buffer[s->walk.position & (PATH_SIZE - 1)]))
		return 0;
	s->event.lengths[2 + which] = length;
	s->event.roots[which] = root;
	s->event.used = used + length;
	return 1;
}

static __always_inline struct file *file_of(s32 descriptor)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct files_struct *files = task->files;
	struct file *file = NULL;

	if (!files || descriptor < 0 || (u32)descriptor >= files->fdt->max_fds)
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), files->fdt->fd + descriptor);
	return file;
}

/* A field of the structure whose beginning is in s->head; how much of it must be there for a field, or for two. */
#define IN_HEAD(TYPE, FIELD, AS) (*(AS *)(s->head + bpf_core_field_offset(struct TYPE, FIELD)))
#define END_OF(TYPE, FIELD) (bpf_core_field_offset(struct TYPE, FIELD) + sizeof(((struct TYPE *)0)->FIELD))
#define LATER(A, B) ((A) > (B) ? (A) : (B))

static __always_inline void identify(struct scratch *s, u32 which, struct identity *identity, u32 *unhashed)
{
	struct dentry *dentry = s->dentries[which];
	struct inode *inode;

	bpf_probe_read_kernel(s->head, LATER(END_OF(dentry, d_inode), END_OF(dentry, d_name.hash)), dentry);
	identity->name = IN_HEAD(dentry, d_name.hash, u32);
	identity->parent = IN_HEAD(dentry, d_parent, u64);
	identity->mount = (u64)s->mounts[which];
	inode = IN_HEAD(dentry, d_inode, struct inode *);
	if (unhashed)
		*unhashed = !IN_HEAD(dentry, d_hash.pprev, u64) && identity->parent != (u64)dentry;
	identity->inode = BPF_CORE_READ(inode, i_ino);
}

/* Puts a file's place into a slot; returns its mode of access. */
static __always_inline u32 take_file(struct scratch *s, u32 which, struct file *file)
{
	bpf_probe_read_kernel(s->head, LATER(END_OF(file, f_path.dentry), LATER(END_OF(file, f_path.mnt), END_OF(file, f_mode))), file);
	s->dentries[which] = IN_HEAD(file, f_path.dentry, struct dentry *);
	s->mounts[which] = IN_HEAD(file, f_path.mnt, struct vfsmount *);
	return IN_HEAD(file, f_mode, u32);
}

static __always_inline void take_root(struct scratch *s, u32 which)
{
	struct task_struct *task = bpf_get_current_task_btf();

	s->dentries[which] = task->fs->root.dentry;
	s->mounts[which] = task->fs->root.mnt;
}

static __always_inline void take_current(struct scratch *s, u32 which)
{
	struct task_struct *task = bpf_get_current_task_btf();

	s->dentries[which] = task->fs->pwd.dentry;
	s->mounts[which] = task->fs->pwd.mnt;
}

/* Type and device of the file in slot 2, and whether it ever had a name. */
static __always_inline void inspect(struct scratch *s)
{
	struct dentry *dentry = s->dentries[2], *parent = BPF_CORE_READ(dentry, d_parent);
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);

	s->event.mode = BPF_CORE_READ(inode, i_mode);
	s->event.device = BPF_CORE_READ(inode, i_rdev);
	if (dentry == parent && (s->event.mode & S_IFMT) != S_IFDIR)
		s->event.flags |= FLAG_PSEUDO;
}

static __always_inline long read_string(void *to, u32 size, u64 pointer, int of_kernel)
{
	if (of_kernel)
		return bpf_probe_read_kernel_str(to, size, (void *)pointer);
	return bpf_probe_read_user_str(to, size, (void *)pointer);
}

/* Notes what a string is; size counts its NUL, or is an error. Returns its length. */
static __always_inline u32 note_string(struct scratch *s, u32 which, long size, const u8 *text)
{
	u32 length;

	if (size < 0) {
		s->event.flags |= FLAG_UNREADABLE;
		return 0;
	}
	length = size > 0 ? size - 1 : 0; /* an empty string counts 0 on older kernels */
	if (length && text[0] == '/')
		s->event.flags |= which ? FLAG_ABSOLUTE_1 : FLAG_ABSOLUTE_0;
	s->event.lengths[which] = length;
	return length;
}

/* Appends a string of the service to the data. */
static __always_inline void append_string(struct scratch *s, u32 which, u64 pointer, int of_kernel)
{
	u32 used = s->event.used & DATA_MASK;
	u32 length;

	if (!pointer) {
		s->event.flags |= which ? FLAG_NULL_1 : FLAG_NULL_0;
		return;
	}
	length = note_string(s, which, read_string(&s->data[used], PATH_SIZE, pointer, of_kernel), &s->data[used]);
	s->event.used = used + (length & (PATH_SIZE - 1));
}

/* Empties what only the longest key has. */
static __always_inline void lengthen(struct scratch *s)
{
	__builtin_memset(s->paths.text + KEPT_SHORT, 0, KEPT_TEXT - KEPT_SHORT);
	__builtin_memset(&s->paths.other, 0, sizeof(s->paths.other));
}

/* Puts the strings of the data into the longer key; 0 if they are too long for it. */
static __always_inline int keep_text(struct scratch *s)
{
	u32 length = s->event.used & DATA_MASK;

	s->paths.place.name |= (u64)s->event.lengths[0] << 32;
	s->paths.other.name |= (u64)s->event.lengths[1] << 32;
	if (length > KEPT_TEXT)
		return 0;
	asm volatile("" : "+r"(length));
	length &= 255;
	if (length > KEPT_TEXT)
		return 0;
	bpf_probe_read_kernel(s->paths.text, length, s->data);
	return 1;
}

/* Puts the only string of a call into the key; 0 if it is too long for it, and in the data. *small: it fits into a short one. */
static __always_inline int take_text(struct scratch *s, u64 pointer, int *small)
{
	long size;

	if (!pointer) {
		s->event.flags |= FLAG_NULL_0;
		return 1;
	}
	size = read_string(s->paths.text, KEPT_SHORT, pointer, s->of_kernel);
	if (size == KEPT_SHORT) {
		*small = 0;
		lengthen(s);
		size = read_string(s->paths.text, KEPT_TEXT, pointer, s->of_kernel);
		if (size == KEPT_TEXT) {
			append_string(s, 0, pointer, s->of_kernel);
			return 0;
		}
	}
	note_string(s, 0, size, s->paths.text);
	return 1;
}

/* The other way round, when there is something to send. */
static __always_inline void append_text(struct scratch *s)
{
	u32 length = s->event.lengths[0];

	if (length > KEPT_TEXT)
		return;
	asm volatile("" : "+r"(length));
	length &= 255;
	if (length > KEPT_TEXT)
		return;
	bpf_probe_read_kernel(s->data, length, s->paths.text);
	s->event.used = length;
}

static __always_inline void identify_root(u64 *root)
{
	struct task_struct *task = bpf_get_current_task_btf();

	root[0] = task->fs->root.dentry->d_inode->i_ino;
	root[1] = (u64)task->fs->root.mnt;
}

static __always_inline void identify_current(struct identity *identity)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct dentry *dentry = task->fs->pwd.dentry;

	identity->inode = dentry->d_inode->i_ino;
	identity->parent = (u64)dentry->d_parent;
	identity->name = dentry->d_name.hash;
	identity->mount = (u64)task->fs->pwd.mnt;
}

/*
 * Begins the key of a call on paths. Of the event only what is gathered on the way is emptied here: mostly the key is known,
 * and nothing is sent.
 */
static __always_inline void begin_paths(struct scratch *s)
{
	u64 *given = s->arguments.args; /* of calls on paths 32 bits of each are kept */

	s->owner = bpf_get_current_pid_tgid();
	s->event.flags = s->event.used = 0;
	s->event.lengths[0] = s->event.lengths[1] = 0;
	s->paths.context = s->context;
	s->paths.args[0] = given[0] | given[1] << 32;
	s->paths.args[1] = given[2] | given[3] << 32;
	s->paths.args[2] = given[4] | given[5] << 32;
	identify_root(s->paths.root);
	__builtin_memset(&s->paths.result, 0, sizeof(s->paths.result));
	__builtin_memset(&s->paths.place, 0, sizeof(s->paths.place));
	__builtin_memset(s->paths.text, 0, KEPT_SHORT);
}

static __always_inline void copy_arguments(struct scratch *s)
{
	__builtin_memcpy(s->event.args, s->arguments.args, sizeof(s->event.args));
	s->event.result = s->result;
}

/* What was gathered stays, all else of the event is emptied. */
static __always_inline void begin_event(struct scratch *s)
{
	u32 flags = s->event.flags, used = s->event.used;
	u16 first = s->event.lengths[0], second = s->event.lengths[1];

	__builtin_memset(&s->event, 0, sizeof(s->event));
	s->event.flags = flags;
	s->event.used = used;
	s->event.lengths[0] = first;
	s->event.lengths[1] = second;
	copy_arguments(s);
}

/* Finds where a string starts from; the place goes into the slot, what tells it apart into the key. */
SUBPROGRAM(find_base, u32 which)
{
	struct scratch *s = scratch_of_cpu();
	struct identity *identity;
	s32 descriptor = AT_FDCWD;
	struct file *file;
	s8 position;

	if (!s)
		return 0;
	which &= 1;
	identity = which ? &s->paths.other : &s->paths.place;
	s->dentries[which] = NULL;
	if (s->descriptor.string[which] < 0 || s->descriptor.flags & NOT_A_PATH)
		return 0;
	position = s->descriptor.directory[which];
	if (s->event.flags & (which ? FLAG_ABSOLUTE_1 : FLAG_ABSOLUTE_0)) {
		take_root(s, which);
	} else {
		if (position >= 0)
			descriptor = s->raw[position & 7];
		if (descriptor == AT_FDCWD) {
			take_current(s, which);
			identify_current(identity);
		} else {
			file = file_of(descriptor);
			if (!file)
				return 0;
			take_file(s, which, file);
			identify(s, which, identity, NULL);
		}
	}
	s->event.flags |= which ? FLAG_BASE_1 : FLAG_BASE_0;
	return 1;
}

/* Finds the file behind a descriptor: the result of the call under way. */
SUBPROGRAM(find_file, u32 descriptor)
{
	struct scratch *s = scratch_of_cpu();
	struct file *file = file_of(descriptor);
	u32 mode, unhashed = 0;

	if (!s)
		return 0;
	s->dentries[2] = NULL;
	if (!file)
		return 0;
	mode = take_file(s, 2, file);
	identify(s, 2, &s->paths.result, &unhashed);
	s->event.flags |= FLAG_RESULT;
	if (mode & FMODE_CREATED)
		s->event.flags |= FLAG_CREATED;
	if (unhashed)
		s->event.flags |= FLAG_DELETED;
	return 1;
}

/* The file that came of a call, or that it was about. */
static __always_inline int find_result(struct scratch *s)
{
	u32 flags = s->descriptor.flags, returned = flags & RETURNS_FILE && !s->context.error, descriptor;

	if (returned)
		descriptor = s->result;
	else if (flags & FILE_DESCRIPTOR && !s->event.lengths[0] && s->descriptor.directory[0] >= 0)
		descriptor = s->raw[s->descriptor.directory[0] & 7];
	else
		return 0;
	if (find_file(descriptor))
		return 1;
	if (returned)
		lose(LOST_FILE);
	return 0;
}

/* Of a path that starts nowhere else, the file that came of it is the place. */
static __always_inline void use_result_as_place(struct scratch *s)
{
	s->paths.place = s->paths.result;
	__builtin_memset(&s->paths.result, 0, sizeof(s->paths.result));
}

static __always_inline void append_paths(struct scratch *s)
{
	u32 flags;

	if (s->event.flags & FLAG_RESULT)
		inspect(s);
	flags = s->event.flags;
	if (flags & FLAG_BASE_0)
		append_path(0);
	if (flags & FLAG_BASE_1)
		append_path(1);
	if (flags & FLAG_RESULT && !(flags & FLAG_PSEUDO))
		append_path(2);
}

static __always_inline void note_namespace(struct scratch *s, struct tracked *t)
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (task->nsproxy->mnt_ns->ns.inum != t->mounts)
		s->context.flags |= FLAG_OWN_MOUNTS;
}

static __always_inline void check_strings(struct scratch *s)
{
	if (s->event.flags & FLAG_UNREADABLE && s->context.error != EFAULT)
		lose(LOST_STRING);
	if ((s->event.lengths[0] == PATH_SIZE - 1 || s->event.lengths[1] == PATH_SIZE - 1) && s->context.error != ENAMETOOLONG)
		lose(LOST_CUT);
}

static __always_inline void send_paths(struct scratch *s, void *table, const void *key)
{
	describe(s, EVENT_PATHS, &s->context, s->leader);
	s->event.flags |= s->context.flags;
	append_paths(s);
	deliver(s, table, key);
}

/* With two strings the key is the longest one, and made of the data. */
SUBPROGRAM(on_two_paths, void)
{
	struct scratch *s = scratch_of_cpu();
	int kept;

	if (!s)
		return 0;
	begin_paths(s);
	lengthen(s);
	append_string(s, 0, s->raw[s->descriptor.string[0] & 7], s->of_kernel);
	append_string(s, 1, s->raw[s->descriptor.string[1] & 7], s->of_kernel);
	check_strings(s);
	find_base(0);
	find_base(1);
	find_result(s);
	s->paths.context.flags |= s->event.flags & (FLAG_CREATED | FLAG_DELETED);
	kept = keep_text(s);
	if (kept && !first_sight(MAP(paths), &s->paths))
		return 0;
	begin_event(s);
	send_paths(s, kept ? MAP(paths) : NULL, &s->paths);
	return 0;
}

/*
 * Each processor remembers some short paths that are in the tables: to compare one key costs much less than to look it up,
 * which hashes it. Returns the place of the one that the key at hand would be.
 */
static __always_inline struct file_key *remembered(struct scratch *s)
{
	const u64 *text = (const u64 *)s->paths.text;
	u64 sum;

	asm volatile("" ::: "memory"); /* the parts were written as what they are, and are read as words */
	sum = s->paths.context.what + s->paths.place.inode + s->paths.result.inode;

#pragma unroll
	for (int i = 0; i < KEPT_SHORT / 8; i++)
		sum += text[i] * (0x9e3779b97f4a7c15ULL + ((u64)i << 33));
	sum *= 0x9e3779b97f4a7c15ULL;
	return &s->known[sum >> 32 & (KNOWN - 1)];
}

static __always_inline int is_same(const struct file_key *known, const struct paths_key *key)
{
	const u64 *one = (const u64 *)known, *other = (const u64 *)key;
	u64 difference = 0;

#pragma unroll
	for (int i = 0; i < sizeof(*known) / 8; i++) {
		difference |= one[i] ^ other[i];
		asm volatile("" : "+r"(difference)); /* or newer compilers branch at each word, and the kernel follows every way */
	}
	return !difference;
}

/* While it is being written it is none: there is no path in call 0. */
static __always_inline void remember(struct scratch *s, struct file_key *known)
{
	u64 what = s->paths.context.what;

	known->name.context.what = 0;
	asm volatile("" ::: "memory");
	s->paths.context.what = 0;
	__builtin_memcpy(known, &s->paths, sizeof(*known));
	asm volatile("" ::: "memory");
	if (s->owner == (u32)bpf_get_current_pid_tgid())
		known->name.context.what = what;
}

/* A call on one path: the string, what it starts from, and the file that came of it. */
SUBPROGRAM(on_path, void)
{
	struct scratch *s = scratch_of_cpu();
	int kept = 1, small = 1, both = 0;
	struct file_key *known;
	s8 position;

	if (!s)
		return 0;
	begin_paths(s);
	position = s->descriptor.string[0];
	if (position >= 0)
		kept = take_text(s, s->raw[position & 7], &small);
	check_strings(s);
	if (s->descriptor.flags & SKIP_EMPTY && !s->event.lengths[0])
		return 0;
	find_base(0);
	if (find_result(s)) {
		both = (s->event.flags & (FLAG_BASE_0 | FLAG_ABSOLUTE_0)) == FLAG_BASE_0;
		if (!both)
			use_result_as_place(s);
	}
	s->paths.place.name |= (u64)s->event.lengths[0] << 32;
	s->paths.context.what |= (u64)(s->event.flags & (FLAG_CREATED | FLAG_DELETED)) << 48;
	if (small) {
		known = remembered(s);
		if (!known || is_same(known, &s->paths))
			return 0;
		if (!(both ? first_sight(MAP(files), &s->paths) : first_sight(MAP(names), &s->paths.context))) {
			remember(s, known);
			return 0;
		}
	} else if (kept && !first_sight(MAP(paths), &s->paths)) {
		return 0;
	}
	begin_event(s);
	if (kept)
		append_text(s);
	if (small && !both)
		send_paths(s, MAP(names), &s->paths.context);
	else if (small)
		send_paths(s, MAP(files), &s->paths);
	else
		send_paths(s, kept ? MAP(paths) : NULL, &s->paths);
	return 0;
}

/* A call on the file behind the descriptor at the first directory's position. */
SUBPROGRAM(on_file, void)
{
	struct scratch *s = scratch_of_cpu();

	if (!s)
		return 0;
	begin_paths(s);
	if (!find_file(s->raw[s->descriptor.directory[0] & 7]) && !s->context.error)
		lose(LOST_FILE);
	use_result_as_place(s);
	s->paths.context.flags |= s->event.flags & FLAG_DELETED;
	if (!first_sight(MAP(names), &s->paths.context))
		return 0;
	begin_event(s);
	describe(s, EVENT_PATHS, &s->context, s->leader);
	append_paths(s);
	deliver(s, MAP(names), &s->paths.context);
	return 0;
}

/* A call of which the arguments that are kept say everything. */
SUBPROGRAM(on_arguments, void)
{
	struct scratch *s = scratch_of_cpu();

	if (!s)
		return 0;
	reset(s);
	s->arguments.context = s->context;
	s->arguments.result = s->descriptor.flags & KEEP_RESULT ? s->result : 0;
	if (!first_sight(MAP(arguments), &s->arguments))
		return 0;
	copy_arguments(s);
	describe(s, EVENT_ARGUMENTS, &s->context, s->leader);
	deliver(s, MAP(arguments), &s->arguments);
	return 0;
}

/* ---- sockets ---- */

static __always_inline struct sock *sock_of(s32 descriptor)
{
	struct file *file = file_of(descriptor);
	struct socket *socket;

	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	return BPF_CORE_READ(socket, sk);
}

static __always_inline int is_loopback(const u8 *bytes)
{
	u32 family = bytes[0] | bytes[1] << 8;

	if (family == AF_INET)
		return bytes[4] == 127;
	if (family == AF_INET6) {
		u64 high = 0;
		u32 middle = 0, low = 0;

		__builtin_memcpy(&high, bytes + 8, 8);
		__builtin_memcpy(&middle, bytes + 16, 4);
		__builtin_memcpy(&low, bytes + 20, 4);
		return high == 0 && ((middle == 0 && low == 0x01000000) || (middle == 0xffff0000 && (low & 0xff) == 127));
	}
	return 0;
}

/* Of a peer that came by itself only the family is kept, and the address if it is a local one. */
static __always_inline void generalise(u8 *bytes)
{
	u32 family = bytes[0] | bytes[1] << 8;

	if (family != AF_INET && family != AF_INET6)
		return;
	bytes[2] = bytes[3] = 0;
	if (family == AF_INET6) {
		__builtin_memset(bytes + 4, 0, 4);
		__builtin_memset(bytes + 24, 0, 8);
	} else {
		__builtin_memset(bytes + 8, 0, 8);
	}
	if (is_loopback(bytes))
		return;
	if (family == AF_INET)
		__builtin_memset(bytes + 4, 0, 4);
	else
		__builtin_memset(bytes + 8, 0, 16);
}

/* The address in s->address.bytes, of this length, met the socket behind the first argument. */
SUBPROGRAM(on_address, u32 length)
{
	struct scratch *s = scratch_of_cpu();
	struct sock *sk;
	u32 family, flags;

	if (!s)
		return 0;
	flags = s->descriptor.flags;
	sk = sock_of(s->raw[0]);
	s->address.context = s->context;
	s->address.length = 0;
	if (sk) {
		s->address.family = BPF_CORE_READ(sk, __sk_common.skc_family);
		s->address.type = BPF_CORE_READ(sk, sk_type);
		s->address.protocol = BPF_CORE_READ(sk, sk_protocol);
		s->address.bound = !!(READ_BITFIELD(sk, sock, sk_userlocks, s->buffer) & SOCK_BINDPORT_LOCK);
	}
	family = s->address.bytes[0] | s->address.bytes[1] << 8;
	if (flags & INCOMING || (flags & SENDING && s->address.bound))
		generalise(s->address.bytes);
	reset(s);
	if (family == AF_UNIX) {
		s->address.length = length;
		if (s->address.bytes[2] && s->address.bytes[2] != '/')
			identify_current(&s->address.base);
		identify_root(s->paths.root);
		s->address.root = s->paths.root[0];
	}
	if (!first_sight(MAP(addresses), &s->address))
		return 0;
	describe(s, EVENT_ADDRESS, &s->context, s->leader);
	s->event.args[0] = s->raw[0];
	s->event.result = s->result;
	s->event.extra[0] = s->address.family;
	s->event.extra[1] = s->address.type;
	s->event.extra[2] = s->address.protocol;
	s->event.extra[3] = s->address.bound;
	if (length > sizeof(s->address.bytes))
		length = sizeof(s->address.bytes);
	__builtin_memcpy(s->data, s->address.bytes, sizeof(s->address.bytes));
	s->event.lengths[0] = length;
	s->event.used = length;
	if (family == AF_UNIX) {
		if (s->address.bytes[2] == '/')
			take_root(s, 0);
		else
			take_current(s, 0);
		s->event.flags |= FLAG_BASE_0;
		append_path(0);
	}
	deliver(s, MAP(addresses), &s->address);
	return 0;
}

/* Copies an address of the service; of a path everything behind its end is cut off. Returns its length. */
static __always_inline u32 copy_address(struct scratch *s, u64 pointer, u32 length)
{
	u32 size = length;
	long path;

	__builtin_memset(&s->address, 0, sizeof(s->address));
	if (!pointer || length < 2)
		return 0;
	if (size > 110)
		size = 110;
	asm volatile("" : "+r"(size));
	size &= 127;
	if (size > 110)
		return 0;
	if (bpf_probe_read_user(s->address.bytes, size, (void *)pointer)) {
		if (s->context.error != EFAULT)
			lose(LOST_STRING);
		return 0;
	}
	if ((s->address.bytes[0] | s->address.bytes[1] << 8) != AF_UNIX || size < 3 || !s->address.bytes[2])
		return size;
	__builtin_memset(s->address.bytes + 2, 0, sizeof(s->address.bytes) - 2);
	size -= 1; /* the two bytes of the family less, the NUL more */
	path = bpf_probe_read_user_str(s->address.bytes + 2, size & 127, (void *)(pointer + 2));
	if (path < 1)
		return 2;
	return 2 + path - 1;
}

static __always_inline void on_message(struct scratch *s, u64 header, int narrow)
{
	u64 name = 0;
	u32 length = 0;

	if (narrow) {
		bpf_probe_read_user(&name, 4, (void *)header);
		bpf_probe_read_user(&length, 4, (void *)(header + 4));
	} else {
		bpf_probe_read_user(&name, 8, (void *)header);
		bpf_probe_read_user(&length, 4, (void *)(header + 8));
	}
	length = copy_address(s, name, length);
	if (length)
		on_address(length);
}

SUBPROGRAM(on_messages, void)
{
	struct scratch *s = scratch_of_cpu();
	u32 narrow, size;
	s64 count;

	if (!s)
		return 0;
	narrow = s->context.call >= 1024;
	if (!(s->descriptor.flags & MANY)) {
		on_message(s, s->raw[1], narrow);
		return 0;
	}
	size = narrow ? 32 : 64; /* struct mmsghdr */
	count = s->result;
	if (count > MOST_MESSAGES)
		lose(LOST_MESSAGES);
	for (u32 i = 0; i < MOST_MESSAGES; i++) {
		s64 index = i;

		asm volatile("" : "+r"(index));
		if (index >= count)
			break;
		on_message(s, s->raw[1] + i * size, narrow);
	}
	return 0;
}

SUBPROGRAM(on_plain_address, void)
{
	struct scratch *s = scratch_of_cpu();
	u64 pointer;
	u32 length;
	s8 at;

	if (!s)
		return 0;
	at = s->descriptor.string[0];
	pointer = s->raw[at & 7];
	length = s->raw[(at + 1) & 7];
	if (s->descriptor.flags & INCOMING) { /* the length is where the kernel has written it */
		if (!length || bpf_probe_read_user(&length, 4, (void *)s->raw[(at + 1) & 7]))
			return 0;
	}
	length = copy_address(s, pointer, length);
	if (length)
		on_address(length);
	return 0;
}

SUBPROGRAM(on_accept, void)
{
	struct scratch *s = scratch_of_cpu();
	struct sock *sk;
	u16 family;

	if (!s || s->context.error)
		return 0;
	sk = sock_of(s->result);
	if (!sk) {
		lose(LOST_FILE);
		return 0;
	}
	__builtin_memset(&s->address, 0, sizeof(s->address));
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	s->address.bytes[0] = family;
	s->address.bytes[1] = family >> 8;
	if (family == AF_INET) {
		bpf_core_read(s->address.bytes + 4, 4, &sk->__sk_common.skc_daddr);
		on_address(16);
	} else if (family == AF_INET6) {
		bpf_core_read(s->address.bytes + 8, 16, &sk->__sk_common.skc_v6_daddr);
		on_address(28);
	}
	return 0;
}

/* ---- system calls ---- */

static __always_inline u32 user_of(struct task_struct *task)
{
	return task->cred->euid.val;
}

/* Notes that a call was made with this outcome; 0 if it could not be sent. */
static __always_inline int mark(struct tracked *t, u32 uid, u32 call, u32 error)
{
	struct context key = {};
	struct scratch *s;

	set_context(&key, t, uid, call, error);
	if (!first_sight(MAP(calls), &key))
		return 1;
	s = scratch_of_cpu();
	if (!s)
		return 0;
	reset(s);
	describe(s, EVENT_CALL, &key, t->leader);
	return deliver(s, MAP(calls), &key);
}

/* The same where it is likely to be known already: each thread remembers what it has marked. */
static __always_inline void note_call(struct tracked *t, u32 uid, u32 call, u32 error)
{
	u64 user = uid | (u64)shared.epoch << 32, bit = 1ULL << (call & 63);
	u64 packed = (u64)call | (u64)error << 12 | (u64)uid << 24 | (u64)(shared.epoch & 255) << 56;

	if (!error && call < 512) {
		if (t->seen_for != user) {
			__builtin_memset(t->seen, 0, sizeof(t->seen));
			t->seen_for = user;
		}
		if (t->seen[call >> 6 & 7] & bit)
			return;
		if (mark(t, uid, call, error))
			t->seen[call >> 6 & 7] |= bit;
	} else if (t->recent[(call ^ error) & 7] != packed) {
		if (mark(t, uid, call, error))
			t->recent[(call ^ error) & 7] = packed;
	}
}

static __always_inline void load_arguments(u64 *to, struct pt_regs *regs, u32 architecture)
{
	if (architecture == 1) {
		to[0] = (u32)regs->bx;
		to[1] = (u32)regs->cx;
		to[2] = (u32)regs->dx;
		to[3] = (u32)regs->si;
		to[4] = (u32)regs->di;
		to[5] = (u32)regs->bp;
	} else {
		to[0] = regs->di;
		to[1] = regs->si;
		to[2] = regs->dx;
		to[3] = regs->r10;
		to[4] = regs->r8;
		to[5] = regs->r9;
	}
}

/* Puts what a structure says into the places of the arguments, where tables can mask it. */
static __always_inline void read_structures(struct scratch *s)
{
	u32 flags = s->descriptor.flags;
	u64 pair[2] = {};

	if (flags & STRUCT_OPEN_HOW) {
		bpf_probe_read_user(pair, 16, (void *)s->raw[2]);
		s->raw[2] = pair[0];
		s->raw[3] = pair[1];
	} else if (flags & STRUCT_CLONE) {
		bpf_probe_read_user(pair, 8, (void *)s->raw[0]);
		s->raw[0] = pair[0];
	} else if (flags & STRUCT_SCHED) {
		bpf_probe_read_user(pair, 16, (void *)s->raw[1]); /* size, policy, flags */
		s->raw[1] = pair[0] >> 32;
		s->raw[2] = pair[1];
	} else if (flags & STRUCT_CAPABILITIES) {
		u32 given[6] = {}; /* effective, permitted, inheritable; twice, for the lower and the upper 32 */

		if (bpf_probe_read_user(given, sizeof(given), (void *)s->raw[1]) && !s->context.error)
			lose(LOST_STRING);
		s->raw[1] = given[0] | (u64)given[3] << 32;
		s->raw[2] = given[1] | (u64)given[4] << 32;
		s->raw[3] = given[2] | (u64)given[5] << 32;
	}
}

/* Sets up the working memory for the call with this index, whose arguments are in raw; 0 if nothing is to do. */
SUBPROGRAM(prepare, u32 call)
{
	struct scratch *s = scratch_of_cpu();
	struct descriptor *d = bpf_map_lookup_elem(MAP(descriptors), &call);

	if (!s || !d || d->kind == KIND_NONE)
		return 0;
	s->descriptor = *d;
	s->context.call = call;
	if (d->flags & (STRUCT_OPEN_HOW | STRUCT_CLONE | STRUCT_SCHED | STRUCT_CAPABILITIES))
		read_structures(s);
	__builtin_memset(&s->arguments, 0, sizeof(s->arguments));
#pragma unroll
	for (int i = 0; i < 6; i++)
		s->arguments.args[i] = s->raw[i] & s->descriptor.mask[i];
	return d->kind;
}

/* Whether a call that could have been on a path is on a descriptor, as those of fstat() are. */
static __always_inline int is_empty(struct scratch *s, struct descriptor *d)
{
	u8 first = 1;

	if (d->directory[0] < 0 || (s32)s->raw[d->directory[0] & 7] == AT_FDCWD)
		return 0;
	return !bpf_probe_read_user(&first, 1, (void *)s->raw[d->string[0] & 7]) && !first;
}

static __always_inline int socketcall(struct scratch *s)
{
	/* socket, bind, connect, listen, accept, ..., by the numbers of the i386 calls of their own */
	const u32 own[21] = {0, 359, 361, 362, 363, 0, 367, 368, 360, 0, 0, 369, 371, 373, 366, 365, 370, 372, 364, 337, 345};
	u32 operation = s->raw[0], call = 0, values[6] = {};

	if (bpf_probe_read_user(values, sizeof(values), (void *)s->raw[1]))
		lose(LOST_STRING);
#pragma unroll
	for (u32 i = 1; i < 21; i++)
		if (operation == i)
			call = own[i];
	if (operation == 5 || operation == 18)
		call = 364;
#pragma unroll
	for (int i = 0; i < 6; i++)
		s->raw[i] = values[i];
	if (!call)
		return 0;
	return prepare(1024 + call);
}

static __always_inline void dispatch(struct scratch *s, struct tracked *t, int kind)
{
	if (s->descriptor.flags & INCOMING && s->context.error)
		return;
	switch (kind) {
	case KIND_PATHS:
		if (s->descriptor.flags & ONLY_FAILED && !s->context.error)
			return;
		note_namespace(s, t);
		if (s->descriptor.string[1] < 0)
			on_path();
		else
			on_two_paths();
		break;
	case KIND_FILE:
		on_file();
		break;
	case KIND_MAP:
		if (!(s->raw[3] & MAP_ANONYMOUS))
			on_file();
		else
			on_arguments();
		break;
	case KIND_SIGNAL: /* those that reach a process are told by the tracepoint of signals, with their target */
		if (!s->context.error && s->raw[s->descriptor.string[0] & 7])
			return;
		on_arguments();
		break;
	case KIND_ARGUMENTS:
	case KIND_PROTECT:
	case KIND_CLONE:
		on_arguments();
		break;
	case KIND_IOCTL:
		on_arguments();
		/* FS_IOC_SETFLAGS, its 32 bit form, FS_IOC_FSSETXATTR: they change the file itself */
		if ((u32)s->raw[1] == 0x40086602 || (u32)s->raw[1] == 0x40046602 || (u32)s->raw[1] == 0x401c5820)
			on_file();
		break;
	case KIND_ADDRESS:
		on_plain_address();
		break;
	case KIND_MESSAGE:
		on_messages();
		break;
	case KIND_ACCEPT:
		on_accept();
		break;
	}
}

/* A process names the nonce just before it executes the command to be recorded: from here it is followed. */
static __always_inline void enrol_by_nonce(struct pt_regs *regs, u32 thread)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct tracked fresh = {};

	if (!constants.nonce || regs->di != ENROL_MAGIC || regs->si != constants.nonce)
		return;
	fresh.waiting = 1;
	start_line(&fresh, task);
	if (bpf_map_update_elem(MAP(tracked), &thread, &fresh, BPF_ANY))
		lose(LOST_PROCESS);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_sys_exit, struct pt_regs *regs, long ret)
{
	u32 thread = bpf_get_current_pid_tgid();
	struct tracked *t = bpf_map_lookup_elem(MAP(tracked), &thread);
	u32 call, error, uid, architecture = 0;
	struct task_struct *task;
	struct descriptor *d;
	struct scratch *s;
	long number;
	int kind;

	number = (s32)regs->orig_ax;
	if (!t) {
		if (number == 157) /* prctl */
			enrol_by_nonce(regs, thread);
		return 0;
	}
	if (number < 0 || t->waiting)
		return 0;
	task = bpf_get_current_task_btf();
	if (task->thread_info.status & TS_COMPAT)
		architecture = 1;
	else if (number & X32_BIT)
		architecture = 2;
	number &= ~X32_BIT;
	if (number >= 1024) {
		lose(LOST_NUMBER);
		return 0;
	}
	call = architecture * 1024 + number;
	error = ret < 0 && ret >= -4095 ? -ret : 0;
	uid = t->user; /* the call may just have changed it */
	t->user = user_of(task);
	t->last = call;
	note_call(t, uid, call, error);
	if (error >= ERESTARTSYS && error <= ERESTARTSYS + 4)
		return 0; /* it comes again */
	d = bpf_map_lookup_elem(MAP(descriptors), &call);
	if (!d || d->kind == KIND_NONE)
		return 0;
	if (d->kind == KIND_MAP || d->kind == KIND_PROTECT) { /* the frequent ones without consequence */
		if (!(regs->dx & PROT_EXEC))
			return 0;
	} else if (d->kind == KIND_ADDRESS && d->flags & (SENDING | INCOMING)) { /* on connected sockets: no address */
		if (!(architecture == 1 ? (u32)regs->di : regs->r8))
			return 0;
	} else if (d->kind == KIND_CLONE) {
		if (!((architecture == 1 ? regs->bx : regs->di) & NAMESPACES & d->mask[0]))
			return 0;
	} else if (d->flags & STRUCT_CLONE && !ret) { /* the child: what its parent asked for may be overwritten by now */
		return 0;
	}
	s = scratch_of_cpu();
	if (!s)
		return 0;
	set_context(&s->context, t, uid, call, error);
	s->leader = t->leader;
	s->result = ret;
	load_arguments(s->raw, regs, architecture);
	if (d->flags & SKIP_EMPTY && is_empty(s, d))
		return 0;
	if (d->flags & STRUCT_CAPABILITIES) {
		s->raw[4] = t->permitted;
		bpf_probe_read_kernel(&t->permitted, sizeof(t->permitted), &task->cred->cap_permitted);
	}
	kind = prepare(call);
	if (kind == KIND_SOCKETCALL)
		kind = socketcall(s);
	dispatch(s, t, kind);
	return 0;
}

/* ---- processes ---- */

SEC("tp_btf/task_newtask")
int BPF_PROG(on_new_task, struct task_struct *child, u64 flags)
{
	u32 thread = bpf_get_current_pid_tgid();
	struct tracked *t = bpf_map_lookup_elem(MAP(tracked), &thread);
	u32 number;

	if (!t)
		return 0;
	number = child->pid;
	if (bpf_map_update_elem(MAP(tracked), &number, t, BPF_ANY))
		lose(LOST_PROCESS);
	if (number == (u32)child->tgid)
		note_member(machine_number(child));
	return 0;
}

static __always_inline int in_unit(void)
{
	u64 id = shared.cgroup_id;

	return id && bpf_get_current_ancestor_cgroup_id(shared.cgroup_level) == id;
}

/* Whether this is the file's own name, wherever it is. */
#define IS_NAMED(FILE, NAME)                                                                                          \
	({                                                                                                            \
		const char wanted[] = NAME;                                                                           \
		char found[sizeof(wanted)] = {};                                                                      \
		struct file *file_of_name = FILE;                                                                     \
		struct dentry *dentry = BPF_CORE_READ(file_of_name, f_path.dentry);                                   \
		u32 difference = BPF_CORE_READ(dentry, d_name.len) ^ (sizeof(wanted) - 1);                            \
		if (bpf_probe_read_kernel(found, sizeof(wanted) - 1, BPF_CORE_READ(dentry, d_name.name)))             \
			difference = 1;                                                                               \
		_Pragma("unroll") for (u32 i = 0; i < sizeof(wanted) - 1; i++)                                        \
		{                                                                                                     \
			difference |= found[i] ^ wanted[i];                                                           \
			asm volatile("" : "+r"(difference)); /* as in is_same() */                                    \
		}                                                                                                     \
		!difference;                                                                                          \
	})

/* What systemd's manager starts, from 254 on, to prepare the start of the unit's own program. It has it open and executes
 * /proc/self/fd/9, so the spelling tells nothing. */
static __always_inline int is_executor(struct file *file)
{
	return IS_NAMED(file, "systemd-executor");
}

/* execve() is about to change the credentials: who the process was decides whether a set-uid file gave it anything. */
SEC("tp_btf/task_rename")
int BPF_PROG(on_rename, struct task_struct *task, const char *name)
{
	u32 thread = bpf_get_current_pid_tgid();
	struct tracked *t = bpf_map_lookup_elem(MAP(tracked), &thread);
	struct task_struct *current = bpf_get_current_task_btf();

	if (!t)
		return 0;
	t->effective[0] = current->cred->euid.val;
	t->effective[1] = current->cred->egid.val;
	bpf_probe_read_kernel(&t->permitted, sizeof(t->permitted), &current->cred->cap_permitted);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_executed, struct task_struct *task, int old_thread, struct linux_binprm *binary)
{
	u32 thread = bpf_get_current_pid_tgid(), former = old_thread;
	struct tracked *t = bpf_map_lookup_elem(MAP(tracked), &former);
	struct scratch *s = scratch_of_cpu();
	struct file *file = BPF_CORE_READ(binary, file);
	u32 first = 0;
	int kept;

	if (!s)
		return 0;
	if (t && former != thread) { /* a thread that was not the leader goes on under the leader's number */
		struct tracked moved = *t;

		bpf_map_update_elem(MAP(tracked), &thread, &moved, BPF_ANY);
		bpf_map_delete_elem(MAP(tracked), &former);
		t = bpf_map_lookup_elem(MAP(tracked), &thread);
	}
	if (!t && !in_unit())
		return 0;
	reset(s);
	append_string(s, 0, (u64)BPF_CORE_READ(binary, filename), 1);
	if (!t) {
		struct tracked fresh = {};

		if (is_executor(file))
			return 0;
		fresh.line = NEXT_LINE();
		start_line(&fresh, task);
		fresh.effective[0] = task->cred->euid.val;
		fresh.effective[1] = task->cred->egid.val;
		if (bpf_map_update_elem(MAP(tracked), &thread, &fresh, BPF_ANY)) {
			lose(LOST_PROCESS);
			return 0;
		}
		first = FLAG_FIRST;
		t = bpf_map_lookup_elem(MAP(tracked), &thread);
		if (!t)
			return 0;
	}
	if (t->waiting) {
		t->waiting = 0;
		first = FLAG_FIRST;
	}
	set_context(&s->context, t, t->effective[0], 59, 0);
	__builtin_memset(&s->paths, 0, sizeof(s->paths));
	s->paths.context = s->context;
	s->event.args[0] = first ? t->line : 0;
	s->event.args[1] = t->effective[0] | (u64)t->effective[1] << 32;
	s->event.args[2] = t->permitted;
	if (BPF_CORE_READ(task, atomic_flags) & PFA_NO_NEW_PRIVS)
		s->event.args[3] = 1;
	__builtin_memcpy(s->paths.args, s->event.args + 1, sizeof(s->paths.args));
	identify_root(s->paths.root);
	if (s->event.flags & FLAG_ABSOLUTE_0) {
		take_root(s, 0);
	} else {
		take_current(s, 0);
		identify_current(&s->paths.place);
	}
	take_file(s, 2, file);
	identify(s, 2, &s->paths.result, NULL);
	s->event.flags |= FLAG_RESULT;
	kept = keep_text(s);
	if (!first && kept && !first_sight(MAP(paths), &s->paths))
		return 0;
	describe(s, EVENT_EXECUTED, &s->context, t->leader);
	s->event.flags |= first | FLAG_BASE_0;
	append_paths(s);
	deliver(s, first || !kept ? NULL : MAP(paths), &s->paths);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	u32 thread = bpf_get_current_pid_tgid();
	struct tracked *t = bpf_map_lookup_elem(MAP(tracked), &thread);
	struct task_struct *current = bpf_get_current_task_btf();
	struct pt_regs *regs;
	u32 architecture = 0;
	long number;

	if (!t)
		return 0;
	regs = (struct pt_regs *)bpf_task_pt_regs(current);
	number = (s32)BPF_CORE_READ(regs, orig_ax);
	if (current->thread_info.status & TS_COMPAT)
		architecture = 1;
	else if (number >= 0 && number & X32_BIT)
		architecture = 2;
	number &= ~X32_BIT;
	/* exit, exit_group; or killed by a filter inside of any other call, which then never returned */
	if (number >= 0 && number < 1024 &&
	    ((architecture != 1 && (number == 60 || number == 231)) ||
	     (architecture == 1 && (number == 1 || number == 252)) || ((current->exit_code & 127) == 31 && t->last != architecture * 1024 + number)))
		mark(t, user_of(current), architecture * 1024 + number, ERESTARTSYS);
	bpf_map_delete_elem(MAP(tracked), &thread);
	return 0;
}

/* ---- signals ---- */

SEC("tp_btf/signal_generate")
int BPF_PROG(on_signal, int signal, struct kernel_siginfo *info, struct task_struct *target, int group, int result)
{
	u32 thread = bpf_get_current_pid_tgid(), number;
	struct tracked *t = bpf_map_lookup_elem(MAP(tracked), &thread);
	struct task_struct *task;
	const struct cred *theirs;
	struct pt_regs *regs;
	struct scratch *s;
	u32 uid, mine, flags = 0;
	s32 call;

	if (!t)
		return 0;
	task = bpf_get_current_task_btf();
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	call = (s32)BPF_CORE_READ(regs, orig_ax);
	if (call < 0 || call & X32_BIT || call >= 1024)
		return 0;
	if (task->thread_info.status & TS_COMPAT)
		call += 1024;
	number = call;
	struct descriptor *d = bpf_map_lookup_elem(MAP(descriptors), &number);
	if (!d || d->kind != KIND_SIGNAL)
		return 0; /* not sent by a call that sends signals: a child that ended, a timer, a fault */
	s = scratch_of_cpu();
	if (!s)
		return 0;
	number = target->pid;
	if (bpf_map_lookup_elem(MAP(tracked), &number))
		flags |= FLAG_OWN_TARGET;
	theirs = target->real_cred;
	uid = task->cred->euid.val;
	mine = task->cred->uid.val;
	if (uid != theirs->suid.val && uid != theirs->uid.val && mine != theirs->suid.val && mine != theirs->uid.val)
		flags |= FLAG_FOREIGN;
	reset(s);
	__builtin_memset(&s->arguments, 0, sizeof(s->arguments));
	set_context(&s->arguments.context, t, uid, call, 0);
	s->arguments.context.flags = flags;
	/* To a group, to everybody, or to one process: the sign of the argument tells. */
	s->arguments.args[0] = (s32)(call >= 1024 ? BPF_CORE_READ(regs, bx) : BPF_CORE_READ(regs, di)) <= 0;
	if (!first_sight(MAP(arguments), &s->arguments))
		return 0;
	describe(s, EVENT_SIGNAL, &s->arguments.context, t->leader);
	s->event.flags = flags;
	s->event.args[0] = s->arguments.args[0];
	deliver(s, MAP(arguments), &s->arguments);
	return 0;
}

/* A handler will run, and it ends with sigreturn, which leaves no trace of its own: it restores foreign registers. */
SEC("tp_btf/signal_deliver")
int BPF_PROG(on_handler, int signal, struct kernel_siginfo *info, struct k_sigaction *action)
{
	u32 thread = bpf_get_current_pid_tgid();
	struct tracked *t = bpf_map_lookup_elem(MAP(tracked), &thread);
	struct task_struct *task = bpf_get_current_task_btf();

	if (!t || (u64)action->sa.sa_handler <= 1)
		return 0;
	mark(t, user_of(task), task->thread_info.status & TS_COMPAT ? 1024 + 173 : 15, 0);
	return 0;
}

/* ---- capabilities ---- */

/* Whether a capset() under way adds to the inheritable set what it may not add without CAP_SETPCAP (cap_capset()). */
static __always_inline int adds_inheritable(const struct cred *cred, u64 data)
{
	u32 given[6] = {}; /* effective, permitted, inheritable; twice, for the lower and the upper 32 */
	u64 wanted, held[2] = {};

	if (bpf_probe_read_user(given, sizeof(given), (void *)data))
		return 1;
	bpf_core_read(&held[0], sizeof(u64), &cred->cap_inheritable);
	bpf_core_read(&held[1], sizeof(u64), &cred->cap_permitted);
	wanted = given[2] | (u64)given[5] << 32;
	return !!(wanted & ~(held[0] | held[1]));
}

/* What was asked and granted; the working memory is the caller's to choose. Always inlined: it reads the caller's stack. */
static __always_inline int check_capability(void *ctx, const struct cred *cred, struct user_namespace *target, int capability,
					    struct scratch *s)
{
	u32 thread = bpf_get_current_pid_tgid();
	struct tracked *t;
	struct task_struct *task;
	struct pt_regs *regs;
	s32 number;
	u32 architecture;
	u64 effective = 0;
	long size;

	t = bpf_map_lookup_elem(MAP(tracked), &thread);
	if (!t || t->waiting)
		return 0;
	task = bpf_get_current_task_btf();
	if (cred != task->cred || cred != task->real_cred)
		return 0; /* somebody else's rights, or borrowed ones: overlayfs, access(2) */
	if (BPF_CORE_READ(target, level) > t->users)
		return 0; /* inside a user namespace of its own */
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	number = task->flags & PF_IO_WORKER ? -1 : (s32)BPF_CORE_READ(regs, orig_ax);
	architecture = task->thread_info.status & TS_COMPAT ? 1 : number >= 0 && number & X32_BIT ? 2 : 0;
	if (number >= 0)
		number &= ~X32_BIT;
	if (number < 0 || number >= 1024)
		number = 1023;
	/* How much memory may be promised: asked at every mapping, and nothing depends on it. */
	if (capability == CAP_SYS_ADMIN && architecture == 0 &&
	    (number == 9 || number == 10 || number == 12 || number == 25 || number == 59 || number == 322 || number == 57 || number == 58))
		return 0;
	if (capability == CAP_SYS_ADMIN && architecture == 0 && number == 56 && !(BPF_CORE_READ(regs, di) & NAMESPACES & ~0xffULL))
		return 0;
	if (architecture == 0 && capability == CAP_SETUID && number == 105) {
		u32 wanted = BPF_CORE_READ(regs, di);

		if (wanted == cred->uid.val && wanted == cred->euid.val && wanted == cred->suid.val)
			return 0; /* it would be allowed without */
	}
	if (architecture == 0 && capability == CAP_SETGID && number == 106) {
		u32 wanted = BPF_CORE_READ(regs, di);

		if (wanted == cred->gid.val && wanted == cred->egid.val && wanted == cred->sgid.val)
			return 0;
	}
	if (architecture == 0 && capability == CAP_SETPCAP && number == 126 && !adds_inheritable(cred, BPF_CORE_READ(regs, si)))
		return 0;
	if (!s)
		return 0;
	reset(s);
	__builtin_memset(s->stack, 0, sizeof(s->stack));
	__builtin_memset(&s->capability, 0, sizeof(s->capability));
	size = bpf_get_stack(ctx, s->stack, sizeof(s->stack), 0);
	set_context(&s->capability.context, t, cred->euid.val, architecture * 1024 + number, 0);
	s->capability.capability = capability;
	bpf_core_read(&effective, sizeof(u64), &cred->cap_effective);
	s->capability.nice = effective >> CAP_SYS_NICE & 1;
	/* The first frames are this program and what called it; they are told apart by name in user space. */
#pragma unroll
	for (int i = 0; i < FRAMES_KEPT; i++)
		s->capability.frames[i] = s->stack[i + 1];
	if (!first_sight(MAP(capabilities), &s->capability))
		return 0;
	describe(s, EVENT_CAPABILITY, &s->capability.context, t->leader);
	load_arguments(s->event.args, regs, architecture);
	s->event.extra[0] = capability;
	s->event.extra[1] = size;
	s->event.extra[2] = effective;
	__builtin_memcpy(s->data, s->stack, sizeof(s->stack));
	s->event.lengths[0] = sizeof(s->stack);
	s->event.used = sizeof(s->stack);
	deliver(s, MAP(capabilities), &s->capability);
	return 0;
}

SEC("tp_btf/cap_capable")
int BPF_PROG(on_capable, const struct cred *cred, struct user_namespace *target, const struct user_namespace *having,
	     int capability, int result)
{
	if (result)
		return 0; /* the process does not hold it, and went on or failed without */
	return check_capability(ctx, cred, target, capability, scratch_of_cpu());
}

/* Where there is no tracepoint: the function itself. The kernel may switch tasks here, hence working memory of its own. */
SEC("fexit/cap_capable")
int BPF_PROG(on_capable_returned, const struct cred *cred, struct user_namespace *target, int capability, unsigned int options,
	     int result)
{
	u32 own = constants.processors + bpf_get_smp_processor_id();

	if (result)
		return 0;
	return check_capability(ctx, cred, target, capability, bpf_map_lookup_elem(MAP(scratches), &own));
}

/* ---- cgroups ---- */

static __always_inline int is_unit_path(const u8 *path, u32 length)
{
	u32 wanted = shared.path_length, skipped;

	if (!wanted || wanted > sizeof(shared.path) || length < wanted || (!shared.anywhere && length != wanted))
		return 0;
	skipped = length - wanted;
	for (u32 i = 0; i < sizeof(shared.path); i++) {
		u32 at = i;

		asm volatile("" : "+r"(at));
		if (at >= wanted)
			break;
		if (path[(skipped + at) & (PATH_SIZE - 1)] != (u8)shared.path[at & (sizeof(shared.path) - 1)])
			return 0;
	}
	return 1;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(on_cgroup, struct cgroup *group, const char *path)
{
	struct scratch *s = scratch_of_cpu();
	long length;

	if (!s || BPF_CORE_READ(group, root, hierarchy_id) != 0)
		return 0; /* of the hierarchies only version 2 has ids that can be asked for */
	length = bpf_probe_read_kernel_str(s->buffer, PATH_SIZE, path);
	if (length < 2 || !is_unit_path(s->buffer, length - 1))
		return 0;
	shared.cgroup_level = BPF_CORE_READ(group, level);
	shared.cgroup_id = BPF_CORE_READ(group, kn, id);
	return 0;
}

/* Whether this is a child of a manager, the system's or a user's, that has not come to the unit's own program yet. */
static __always_inline int is_setting_up(struct task_struct *task)
{
	struct task_struct *parent = BPF_CORE_READ(task, real_parent, group_leader);

	if (task->flags & PF_FORKNOEXEC)
		return machine_number(parent) == 1 || IS_NAMED(BPF_CORE_READ(parent, mm, exe_file), "systemd");
	return is_executor(BPF_CORE_READ(task, mm, exe_file));
}

/* A process that already runs is moved into the unit. */
SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(on_moved, struct cgroup *group, const char *path, struct task_struct *task, int threads)
{
	u32 thread = task->pid;
	struct tracked fresh = {};
	struct scratch *s = scratch_of_cpu();

	if (!s || !shared.cgroup_id || BPF_CORE_READ(group, root, hierarchy_id) != 0)
		return 0;
	if (BPF_CORE_READ(group, kn, id) != shared.cgroup_id)
		return 0;
	if (is_setting_up(task))
		return 0;
	if (bpf_map_lookup_elem(MAP(tracked), &thread))
		return 0;
	fresh.line = NEXT_LINE();
	start_line(&fresh, task);
	if (bpf_map_update_elem(MAP(tracked), &thread, &fresh, BPF_ANY)) {
		lose(LOST_PROCESS);
		return 0;
	}
	reset(s);
	set_context(&s->context, &fresh, task->cred->euid.val, 0, 0);
	describe(s, EVENT_JOINED, &s->context, fresh.leader);
	deliver(s, NULL, NULL);
	return 0;
}

/* ---- io_uring ---- */

/* A string in the kernel's own copy: an operation's path has been fetched when the operation is submitted. */
#define NAME_OF(POINTER, FIELD) ((u64)BPF_CORE_READ(POINTER, FIELD, name))
#define DIRECTORY_OF(POINTER, FIELD) ((u64)(s64)(s32)BPF_CORE_READ(POINTER, FIELD))

static __always_inline u64 file_of_request(struct io_kiocb *request)
{
	if (BPF_CORE_READ(request, flags) & REQ_F_FIXED_FILE || !bpf_core_field_exists(request->cqe.fd))
		return -1;
	return (u64)(s64)(s32)BPF_CORE_READ(request, cqe.fd);
}

/* Puts an operation into the form of the system call that does the same, whose number is returned; 0 if none matters. */
static __always_inline u32 as_call(struct scratch *s, struct io_kiocb *request, u32 operation)
{
	u64 *raw = s->raw;

	__builtin_memset(s->raw, 0, sizeof(s->raw));
	s->of_kernel = 1;
	if (operation == IORING_OP_OPENAT || operation == IORING_OP_OPENAT2) {
		struct io_open *open = (void *)request;

		raw[0] = DIRECTORY_OF(open, dfd);
		raw[1] = NAME_OF(open, filename);
		raw[2] = BPF_CORE_READ(open, how.flags);
		raw[3] = BPF_CORE_READ(open, how.mode);
		return 257; /* openat */
	}
	if (operation == IORING_OP_STATX) {
		struct io_statx *status = (void *)request;

		raw[0] = DIRECTORY_OF(status, dfd);
		raw[1] = NAME_OF(status, filename);
		raw[2] = BPF_CORE_READ(status, flags);
		return 332; /* statx */
	}
	if (operation == IORING_OP_RENAMEAT) {
		struct io_rename *names = (void *)request;

		raw[0] = DIRECTORY_OF(names, old_dfd);
		raw[1] = NAME_OF(names, oldpath);
		raw[2] = DIRECTORY_OF(names, new_dfd);
		raw[3] = NAME_OF(names, newpath);
		raw[4] = BPF_CORE_READ(names, flags);
		return 316; /* renameat2 */
	}
	if (operation == IORING_OP_LINKAT || operation == IORING_OP_SYMLINKAT) {
		struct io_link *names = (void *)request;
		u32 at = operation == IORING_OP_LINKAT ? 2 : 1;

		raw[0] = DIRECTORY_OF(names, old_dfd);
		raw[1] = NAME_OF(names, oldpath);
		raw[at] = DIRECTORY_OF(names, new_dfd);
		raw[at + 1] = NAME_OF(names, newpath);
		if (operation == IORING_OP_LINKAT)
			raw[4] = BPF_CORE_READ(names, flags);
		return operation == IORING_OP_LINKAT ? 265 : 266; /* linkat, symlinkat */
	}
	if (operation == IORING_OP_UNLINKAT) {
		struct io_unlink *name = (void *)request;

		raw[0] = DIRECTORY_OF(name, dfd);
		raw[1] = NAME_OF(name, filename);
		return 263; /* unlinkat */
	}
	if (operation == IORING_OP_MKDIRAT) {
		struct io_mkdir *name = (void *)request;

		raw[0] = DIRECTORY_OF(name, dfd);
		raw[1] = NAME_OF(name, filename);
		raw[2] = BPF_CORE_READ(name, mode);
		return 258; /* mkdirat */
	}
	s->of_kernel = 0;
	if (operation == IORING_OP_SOCKET && bpf_core_type_exists(struct io_socket)) {
		struct io_socket *socket = (void *)request;

		raw[0] = BPF_CORE_READ(socket, domain);
		raw[1] = BPF_CORE_READ(socket, type);
		raw[2] = BPF_CORE_READ(socket, protocol);
		return 41; /* socket */
	}
	raw[0] = file_of_request(request);
	if (operation == IORING_OP_CONNECT) {
		struct io_connect *connect = (void *)request;

		raw[1] = (u64)BPF_CORE_READ(connect, addr);
		raw[2] = BPF_CORE_READ(connect, addr_len);
		return 42; /* connect */
	}
	if (operation == IORING_OP_SENDMSG) {
		struct io_sr_msg *message = (void *)request;

		raw[1] = (u64)BPF_CORE_READ(message, umsg);
		return 46; /* sendmsg */
	}
	return 0;
}

/* What was asked for, as a call whose outcome nobody knows: that comes later, and elsewhere. */
static __always_inline int on_ring(struct io_kiocb *request)
{
	u32 thread = bpf_get_current_pid_tgid(), operation, call, uid;
	struct tracked *t = bpf_map_lookup_elem(MAP(tracked), &thread);
	struct scratch *s;

	if (!t)
		return 0;
	s = scratch_of_cpu();
	if (!s)
		return 0;
	reset(s);
	operation = BPF_CORE_READ(request, opcode);
	uid = user_of(bpf_get_current_task_btf());
	__builtin_memset(&s->arguments, 0, sizeof(s->arguments));
	set_context(&s->arguments.context, t, uid, 426, 0);
	s->arguments.args[0] = operation;
	s->arguments.args[1] = 1;
	if (first_sight(MAP(arguments), &s->arguments)) {
		describe(s, EVENT_RING, &s->arguments.context, t->leader);
		s->event.args[0] = s->arguments.args[0];
		deliver(s, MAP(arguments), &s->arguments);
	}
	call = as_call(s, request, operation);
	if (!call)
		return 0;
	set_context(&s->context, t, uid, call, ERESTARTSYS);
	s->leader = t->leader;
	s->result = 0;
	dispatch(s, t, prepare(call));
	s->of_kernel = 0;
	return 0;
}

SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(on_ring_request, struct io_kiocb *request)
{
	return on_ring(request);
}

SEC("tp_btf/io_uring_submit_sqe")
int BPF_PROG(on_ring_entry, struct io_kiocb *request)
{
	return on_ring(request);
}

/* ---- processes that run already ---- */

static __always_inline int is_member(struct task_struct *task)
{
	struct cgroup *group = BPF_CORE_READ(task, cgroups, dfl_cgrp);

	for (int i = 0; i < 16; i++) {
		struct cgroup_subsys_state *above;

		if (!group)
			break;
		if (BPF_CORE_READ(group, kn, id) == shared.cgroup_id)
			return 1;
		above = BPF_CORE_READ(group, self.parent);
		if (!above)
			break;
		group = BPF_CORE_READ(above, cgroup);
	}
	return 0;
}

/*
 * Reading from this follows all threads of the unit's cgroup and those below it, if shared.members is set; in any case
 * those whose process is followed already.
 */
SEC("iter/task")
int ITERATOR(enrol_members, struct bpf_iter__task *context)
{
	struct task_struct *task = context->task;
	struct tracked fresh = {}, *t;
	u32 thread, leader;

	if (!task)
		return 0;
	thread = task->pid;
	leader = task->tgid;
	if (bpf_map_lookup_elem(MAP(tracked), &thread))
		return 0;
	t = bpf_map_lookup_elem(MAP(tracked), &leader);
	if (t)
		fresh = *t;
	else if (!shared.members || !shared.cgroup_id || !is_member(task))
		return 0;
	else
		start_line(&fresh, task);
	if (bpf_map_update_elem(MAP(tracked), &thread, &fresh, BPF_ANY))
		lose(LOST_PROCESS);
	return 0;
}
