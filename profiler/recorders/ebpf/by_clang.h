/* SPDX-License-Identifier: MIT OR GPL-2.0-only
 *
 * What the source needs where clang compiles it once for all kernels (CO-RE) and libbpf loads the object.
 * by_bcc.h has the same words for bcc.
 */
#pragma once

#include "kernel_types.h"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#ifdef SOURCE_DIGEST
/* Tells from which sources an object was built. */
char source_digest[] SEC("source") = SOURCE_DIGEST;
#endif

#define BPF_TABLE_OF(NAME, TYPE, FLAGS, KEY, VALUE, ENTRIES) \
	struct {                                             \
		__uint(type, TYPE);                          \
		__uint(map_flags, FLAGS);                    \
		__uint(max_entries, ENTRIES);                \
		__type(key, KEY);                            \
		__type(value, VALUE);                        \
	} NAME SEC(".maps")

#define BPF_RING(NAME, BYTES)                        \
	struct {                                     \
		__uint(type, BPF_MAP_TYPE_RINGBUF);  \
		__uint(max_entries, BYTES);          \
	} NAME SEC(".maps")

#define BPF_CONSTANTS(TYPE, NAME) const volatile TYPE NAME = {}
#define BPF_VARIABLES(TYPE, NAME) TYPE NAME = {}
#define MAP(NAME) (&NAME)

/* A function that is checked and kept once; its static form is for arguments that are no numbers. */
#define SUBPROGRAM(NAME, ...) __noinline int NAME(__VA_ARGS__)
#define STATIC_SUBPROGRAM(NAME, ...) static __noinline int NAME(__VA_ARGS__)
#define LOOP_BODY(NAME) static long NAME(u32 index, void *unused)
#define CALLBACK(NAME) NAME
#define ITERATOR(NAME, ARGUMENT) NAME(ARGUMENT)

#define NEXT_LINE() (__sync_fetch_and_add(&shared.lines, 1) + 1)
#define READ_BITFIELD(POINTER, TYPE, FIELD, BUFFER) BPF_CORE_READ_BITFIELD_PROBED(POINTER, FIELD)
