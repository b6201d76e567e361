/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * What the source needs where bcc compiles it on the machine that it is for. by_clang.h has the same words for clang.
 *
 * bcc has no relocations: neither maps, nor variables, nor functions that stay functions. All of these get numbers here
 * (NUMBER_x, from the loader), and the loader puts what they stand for in their place. The kernel's structures are those of
 * the running kernel, with all their fields.
 */
#pragma once

#include "unit_tailor_kernel_types.h"

#define SEC(NAME)
#define BCC_SEC(NAME) __attribute__((section(NAME)))
#define __always_inline inline __attribute__((always_inline))
#ifndef NULL
#define NULL ((void *)0)
#endif

/* numbers of linux/bpf.h */
#define BPF_ANY 0
#define BPF_NOEXIST 1
#define BPF_F_NO_PREALLOC 1
#define BPF_MAP_TYPE_HASH 1
#define BPF_MAP_TYPE_ARRAY 2
#define BPF_MAP_TYPE_PERCPU_ARRAY 6
#define BPF_MAP_TYPE_LRU_HASH 9

static void *(*bpf_map_lookup_elem)(void *, const void *) = (void *)1;
static long (*bpf_map_update_elem)(void *, const void *, const void *, u64) = (void *)2;
static long (*bpf_map_delete_elem)(void *, const void *) = (void *)3;
static u64 (*bpf_ktime_get_ns)(void) = (void *)5;
static u32 (*bpf_get_prandom_u32)(void) = (void *)7;
static u32 (*bpf_get_smp_processor_id)(void) = (void *)8;
static u64 (*bpf_get_current_pid_tgid)(void) = (void *)14;
static long (*bpf_get_current_comm)(void *, u32) = (void *)16;
static long (*bpf_get_stack)(void *, void *, u32, u64) = (void *)67;
static long (*bpf_probe_read_user)(void *, u32, const void *) = (void *)112;
static long (*bpf_probe_read_kernel)(void *, u32, const void *) = (void *)113;
static long (*bpf_probe_read_user_str)(void *, u32, const void *) = (void *)114;
static long (*bpf_probe_read_kernel_str)(void *, u32, const void *) = (void *)115;
static u64 (*bpf_get_current_ancestor_cgroup_id)(int) = (void *)123;
static long (*bpf_ringbuf_output)(void *, void *, u64, u64) = (void *)130;
static struct task_struct *(*bpf_get_current_task_btf)(void) = (void *)158;
static long (*bpf_task_pt_regs)(struct task_struct *) = (void *)175;
static long (*bpf_loop)(u32, void *, void *, u64) = (void *)181;

/* An instruction that loads a number, marked as one that stands for something else (BPF_PSEUDO_* of linux/bpf.h). */
u64 unit_tailor_pseudo(u64, u64) asm("llvm.bpf.pseudo");
#define STANDING_FOR(WHAT, NUMBER) ((void *)unit_tailor_pseudo(WHAT, NUMBER))

#define MAP(NAME) STANDING_FOR(1, NUMBER_##NAME)
#define CALLBACK(NAME) STANDING_FOR(4, NUMBER_##NAME)
#define constants (*(struct settings *)STANDING_FOR(2, NUMBER_constants))
#define shared (*(struct control *)STANDING_FOR(2, NUMBER_shared))

/* What the loader must know of a map, as functions that return numbers. */
#define BPF_TABLE_OF(NAME, TYPE, FLAGS, KEY, VALUE, ENTRIES)                                                    \
	static __always_inline u64 NAME##__shape(void)                                                          \
	{                                                                                                       \
		return (u64)(TYPE) << 56 | (u64)(FLAGS) << 48 | (u64)sizeof(KEY) << 32 | (u64)sizeof(VALUE);    \
	}                                                                                                       \
	static __always_inline u64 NAME##__entries(void) { return ENTRIES; }
#define BPF_RING(NAME, BYTES)                                                                   \
	static __always_inline u64 NAME##__shape(void) { return 27ULL << 56; }                  \
	static __always_inline u64 NAME##__entries(void) { return BYTES; }
#define BPF_CONSTANTS(TYPE, NAME)                                                               \
	static __always_inline u64 NAME##__shape(void) { return 2ULL << 56 | 4ULL << 32 | sizeof(TYPE); }
#define BPF_VARIABLES BPF_CONSTANTS

#define SUBPROGRAM(NAME, ...)                                                   \
	static int (*NAME)(__VA_ARGS__) = (void *)NUMBER_##NAME;                \
	static __always_inline int NAME##__body(__VA_ARGS__)
#define STATIC_SUBPROGRAM SUBPROGRAM
#define LOOP_BODY(NAME) static __always_inline long NAME##__body(u32 index)
#define ITERATOR(NAME, ARGUMENT) static __always_inline NAME##__body(ARGUMENT)

/* The arguments of a tracepoint, out of an array of 64-bit words. */
#define WORDS_1(A) (void *)words[0]
#define WORDS_2(A, ...) WORDS_1(A), (void *)words[1]
#define WORDS_3(A, ...) WORDS_2(A), (void *)words[2]
#define WORDS_4(A, ...) WORDS_3(A), (void *)words[3]
#define WORDS_5(A, ...) WORDS_4(A), (void *)words[4]
#define WORDS_6(A, ...) WORDS_5(A), (void *)words[5]
#define CHOOSE_WORDS(A, B, C, D, E, F, NAME, ...) NAME
#define BPF_PROG(NAME, ...)                                                                                     \
	static __always_inline NAME##__typed(u64 *ctx, __VA_ARGS__);                                            \
	static __always_inline int NAME##__body(u64 *words)                                                     \
	{                                                                                                       \
		return NAME##__typed(words, CHOOSE_WORDS(__VA_ARGS__, WORDS_6, WORDS_5, WORDS_4, WORDS_3, WORDS_2, WORDS_1)(0)); \
	}                                                                                                       \
	static __always_inline int NAME##__typed(u64 *ctx, __VA_ARGS__)

/* The structures are those of this kernel; what it lacks is an error when it compiles. */
#define bpf_core_field_exists(FIELD) 1
#define bpf_core_type_exists(TYPE) 1
#define bpf_core_field_offset __builtin_offsetof
#define bpf_core_read bpf_probe_read_kernel
/* Into bytes, since the field's own type may be constant. */
#define READ_FIELD(POINTER, FIELD)                                                              \
	({                                                                                      \
		char _bytes[sizeof((POINTER)->FIELD)] __attribute__((aligned(8)));              \
		__builtin_memset(_bytes, 0, sizeof(_bytes));                                    \
		bpf_probe_read_kernel(_bytes, sizeof(_bytes), (const void *)&(POINTER)->FIELD); \
		*(__typeof__((POINTER)->FIELD) *)_bytes;                                        \
	})
#define READ_1(P, A) READ_FIELD(P, A)
#define READ_2(P, A, B) READ_FIELD(READ_FIELD(P, A), B)
#define READ_3(P, A, B, C) READ_FIELD(READ_2(P, A, B), C)
#define CHOOSE_READ(A, B, C, NAME, ...) NAME
#define BPF_CORE_READ(P, ...) CHOOSE_READ(__VA_ARGS__, READ_3, READ_2, READ_1)(P, __VA_ARGS__)
#define READ_BITFIELD(POINTER, TYPE, FIELD, BUFFER)                                                     \
	({                                                                                              \
		_Static_assert(sizeof(struct TYPE) <= sizeof(BUFFER), "the structure fits");           \
		bpf_probe_read_kernel((BUFFER), sizeof(struct TYPE), (POINTER));                        \
		((struct TYPE *)(BUFFER))->FIELD;                                                       \
	})

#define NEXT_LINE() (bpf_get_prandom_u32() | 1)
