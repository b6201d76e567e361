"""Situations that have broken tools of this kind, by number: the tests that hold each, or why there is none here."""

from __future__ import annotations

_HARD = "tests/profiler/test_hard_recordings.py::"
_LINES = "tests/profiler/recorders/test_strace_lines.py::"
_STRACE = "tests/profiler/recorders/test_strace.py::"
_PROCESS = "tests/profiler/recorders/test_strace_process.py::"
_PTRACE = "tests/profiler/recorders/test_ptrace.py::"
_FILES = "tests/profiler/normalise/test_files.py::"
_RECORDING = "tests/profiler/normalise/test_recording.py::"
_UNIT = "tests/profiler/normalise/test_unit.py::"
_NETWORK = "tests/profiler/normalise/test_network.py::"
_KINDS = "tests/system/test_record_kinds.py::"
_AGREEMENT = "tests/system/test_agreement.py::"
_WRITABLE = "tests/policy/directives/test_writable_paths.py::"
_DIRECTIVES = "tests/policy/directives/test_file_system_directives.py::"
_LEVELS = "tests/policy/test_levels.py::"
_TABLE = "tests/policy/sandbox/test_mount_table.py::"

TESTS: dict[int, tuple[str, ...]] = {
    1: (f"{_HARD}test_every_outcome_is_kept", f"{_LINES}test_a_result_has_its_meaning"),
    2: (f"{_LINES}test_calls_of_two_threads_interleave_and_each_is_joined",),
    3: (f"{_LINES}test_a_call_that_is_blocked_when_the_recording_ends_was_attempted",),
    4: (f"{_HARD}test_every_outcome_is_kept",),
    5: (f"{_HARD}test_a_failed_call_changes_nothing_that_is_tracked",),
    6: (f"{_HARD}test_a_failed_call_changes_nothing_that_is_tracked",),
    7: ("tests/profiler/recorders/test_strace_traces.py::test_a_recorded_trace_is_read_to_the_last_line",),
    8: (
        f"{_STRACE}test_every_call_with_odd_arguments_is_understood",
        "tests/profiler/recorders/test_strace_command.py::test_strace_is_available_here",
    ),
    9: (
        f"{_LINES}test_a_line_that_does_not_match_as_a_whole_is_counted_with_a_sample",
        "tests/fuzz/test_fuzz.py::test_many_inputs",
    ),
    10: (f"{_LINES}test_a_call_with_odd_arguments_is_kept_by_name_and_counted",),
    11: (
        f"{_AGREEMENT}test_hostile_names_give_exactly_their_true_facts",
        f"{_STRACE}test_a_hostile_program_forges_nothing",
        "tests/fuzz/test_fuzz.py::test_many_inputs",
    ),
    12: (f"{_HARD}test_signal_zero_is_a_probe",),
    13: (f"{_HARD}test_names_keep_their_digits",),
    14: (f"{_HARD}test_what_is_no_path_makes_no_path",),
    15: (f"{_HARD}test_a_call_without_a_handler_is_recorded_by_name_at_little_cost",),
    16: (
        f"{_HARD}test_a_number_is_no_name",
        "tests/policy/directives/test_system_calls.py::test_names_that_the_target_cannot_read_are_never_written",
    ),
    17: (f"{_STRACE}test_thirty_two_bit_calls_have_their_architecture",),
    18: (f"{_PROCESS}test_strace_that_is_killed_is_a_loss_and_the_traced_processes_go_on",),
    19: (
        f"{_PTRACE}test_threads_forks_and_execs_are_followed",
        "tests/tools/test_call_table.py::test_the_ptrace_recorder_reads_the_arguments_of_every_call_that_is_handled",
    ),
    20: (
        "tests/profiler/recorders/test_strace_command.py::test_a_program_that_does_not_get_its_privileges_is_told",
        "tests/profiler/recorders/test_strace_command.py::test_without_the_capability_it_is_refused",
    ),
    21: (f"{_HARD}test_a_service_that_traces_is_told_that_it_could_not_be_seen",),
    22: (f"{_LINES}test_a_child_that_escapes_is_counted",),
    23: (f"{_HARD}test_all_calls_are_traced_so_that_the_set_of_names_is_complete",),
    24: (
        f"{_HARD}test_the_command_line_and_environment_of_programs_are_not_kept",
        f"{_STRACE}test_contents_of_files_never_reach_the_trace",
    ),
    25: (f"{_LINES}test_a_result_has_its_meaning",),
    26: ("tests/profiler/test_host.py::test_reads_every_form_of_version",),
    27: (
        "tests/tools/test_call_table.py::test_no_call_is_explained_that_the_kernel_does_not_have",
        "tests/tools/test_call_table.py::test_every_call_that_is_handled_exists_on_some_architecture",
    ),
    28: (
        f"{_FILES}test_write_facts_without_opening",
        f"{_WRITABLE}test_the_directory_of_a_name_that_is_made_or_removed",
    ),
    29: (f"{_AGREEMENT}test_recorders_agree", f"{_DIRECTIVES}test_each_home_value_is_reached"),
    30: (f"{_FILES}test_modes_devices_and_memory",),
    31: (f"{_FILES}test_relative_paths_and_directory_descriptors",),
    32: (f"{_RECORDING}test_threads_share_their_directory_and_children_do_not",),
    33: (f"{_FILES}test_relative_paths_and_directory_descriptors",),
    34: (f"{_FILES}test_chroot_is_translated", f"{_KINDS}test_a_unit_with_a_root_of_its_own"),
    35: (f"{_FILES}test_symlinks_of_every_kind", f"{_UNIT}test_the_services_own_mount_namespace_is_looked_into"),
    36: (f"{_FILES}test_symlinks_of_every_kind",),
    37: (f"{_FILES}test_proc_of_oneself_of_the_service_and_of_others",),
    38: ("tests/profiler/normalise/test_parts.py::test_the_machine_as_it_is",),
    39: (f"{_HARD}test_what_is_no_path_makes_no_path",),
    40: (f"{_FILES}test_programs_with_their_interpreters", f"{_FILES}test_opens_say_what_they_were_for"),
    41: (f"{_FILES}test_replacement_by_rename", f"{_TABLE}test_an_entry_cannot_be_replaced"),
    42: (f"{_WRITABLE}test_names_that_are_joined_share_an_entry", f"{_TABLE}test_two_entries_are_two_mounts"),
    43: (f"{_FILES}test_file_without_a_name", f"{_UNIT}test_private_tmp_is_the_services_own"),
    44: (f"{_TABLE}test_only_what_the_service_made_is_in_its_private_tmp",),
    45: (f"{_WRITABLE}test_long_lists_are_folded_into_directories_of_the_services_own",),
    46: (f"{_WRITABLE}test_a_file_that_is_written_in_place_stands_for_itself",),
    47: (f"{_WRITABLE}test_folding_never_reaches_what_services_share",),
    48: (f"{_WRITABLE}test_no_list_makes_the_root_writable",),
    49: (f"{_TABLE}test_an_optional_entry_may_be_made_by_the_service_itself",),
    51: (f"{_KINDS}test_a_unit_with_a_root_of_its_own",),
    52: (f"{_FILES}test_programs_with_their_interpreters", "tests/profiler/normalise/test_parts.py::test_interpreters"),
    54: (f"{_FILES}test_a_failed_start_probe_keeps_its_errno",),
    55: (f"{_LEVELS}test_what_systemd_itself_needs_is_never_hidden",),
    56: ("tests/policy/test_path_encoding.py::test_systemd_reads_ten_thousand_hostile_paths_back",),
    57: (f"{_WRITABLE}test_a_path_that_cannot_be_written_down", "tests/policy/test_path_encoding.py::test_refuses"),
    58: (f"{_TABLE}test_a_missing_home_stays_missing",),
    59: (f"{_DIRECTIVES}test_each_home_value_is_reached",),
    60: (f"{_DIRECTIVES}test_words_as_systemd_252_reads_them",),
    61: ("tests/policy/test_decide.py::test_a_web_server_keeps_what_it_used_and_no_more",),
    62: (f"{_STRACE}test_a_recorded_command_keeps_its_streams_and_environment",),
    63: (f"{_WRITABLE}test_a_write_that_failed_already_makes_nothing_writable",),
    64: ("tests/conformance/test_read_only_mounts.py::test_each_operation_on_a_read_only_mount",),
    65: (f"{_HARD}test_descriptors_of_two_processes_are_two_tables_and_threads_share_one",),
    66: (f"{_NETWORK}test_duplicates_and_children_keep_the_kind",),
    67: (f"{_KINDS}test_a_socket_activated_unit",),
    68: (
        f"{_UNIT}test_each_line_and_phase",
        "tests/system/test_record.py::test_a_running_service_of_any_type_is_recorded_and_runs_on",
    ),
    69: ("tests/system/test_record.py::test_a_running_service_of_any_type_is_recorded_and_runs_on",),
    70: (
        f"{_RECORDING}test_begins_at_the_program_and_keeps_what_systemd_set_up",
        f"{_KINDS}test_a_unit_of_any_kind_is_recorded_and_runs_on",
    ),
    71: (f"{_FILES}test_set_uid_program_gives_privileges_only_to_those_without",),
    72: (f"{_LEVELS}test_a_set_uid_helper_of_a_users_service_forbids_what_implies_no_new_privileges",),
    73: ("tests/policy/directives/test_system_calls.py::test_other_architectures_that_were_seen_are_kept",),
    74: (f"{_HARD}test_a_call_that_a_directive_refuses_is_a_fact",),
    75: ("tests/profiler/normalise/test_capabilities.py::test_agrees_with_the_kernel",),
    76: (f"{_HARD}test_a_call_that_a_directive_refuses_is_a_fact",),
    77: (f"{_HARD}test_a_call_that_a_directive_refuses_is_a_fact",),
    78: (f"{_DIRECTIVES}test_rings_keep_path_directives_loose",),
    79: (f"{_HARD}test_a_call_that_a_directive_refuses_is_a_fact",),
    81: ("tests/policy/directives/test_system_calls.py::test_the_baseline_is_in_every_form",),
    82: (f"{_KINDS}test_a_running_unit_is_watched_without_a_restart",),
    83: (f"{_STRACE}test_a_static_program_is_recorded_like_any_other",),
    84: ("tests/profiler/normalise/test_capabilities.py::test_agrees_with_the_kernel",),
    85: (f"{_PROCESS}test_attached_to_pid_1_every_new_process_is_seen_from_its_birth",),
    86: ("tests/system/test_record.py::test_a_command_is_recorded_with_its_status",),
}
"""The tests that fail if the case is not handled."""

ELSEWHERE: dict[int, str] = {
    50: "numbers in paths stay in the profile as they are; what a drop-in makes of them its directives decide",
    53: "a warning of the report about libraries that are loaded late: no recorder can see what was not loaded",
    80: "a matter of validation: the kernel's log is read after a restart under a drop-in, not while recording",
}
"""Cases that no test of a recorder can hold here, with the reason."""
