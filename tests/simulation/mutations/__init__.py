"""Mutations: the code made worse on purpose, one promise at a time. A simulation that does not notice them proves nothing.

Each is a context manager that patches the real code in this process. The first line of its docstring says what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from tests.simulation.mutations import admission, needs, rules, sheet, suspicion

MUTATIONS: Mapping[str, Callable[[], AbstractContextManager[None]]] = {
    mutation.__name__: mutation
    for mutation in (
        sheet.claim_by_write_and_verify,
        sheet.swap_that_ignores_its_answer,
        sheet.leases_without_a_nonce,
        sheet.status_read_without_shown,
        sheet.row_deleted_apart_from_its_copy,
        sheet.inserting_without_the_token,
        sheet.renewal_beside_a_result,
        sheet.local_clocks,
        sheet.user_entered,
        sheet.lost_answer_taken_for_a_failure,
        sheet.rows_read_before_the_token,
        sheet.copies_are_left_alone,
        sheet.adoption_forgets_what_it_covered,
        sheet.peoples_columns_are_written,
        sheet.wrong_cells_are_left_wrong,
        sheet.tabs_read_by_title,
        sheet.clock_that_adds_the_answers_way,
        rules.lease_counted_from_the_answer,
        rules.lease_without_the_clocks_error,
        rules.begun_on_a_lease_that_ran_out,
        rules.result_written_over_whoever_holds_it,
        rules.taken_over_without_a_version,
        rules.taken_over_a_little_early,
        rules.recovered_attempts_are_not_counted,
        rules.throttled_attempts_are_counted,
        rules.throttled_rows_are_tried_at_once,
        rules.rows_are_blamed_for_a_block_of_their_machine,
        rules.refusals_are_forgotten,
        rules.no_backoff,
        rules.claimed_before_the_pause_is_over,
        rules.tried_for_ever,
        rules.renewed_for_ever,
        admission.everybody_probes,
        admission.probe_is_not_renewed,
        admission.checked_only_before_a_claim,
        admission.claimed_before_a_cooldown_begun_after_it,
        admission.throttled_worker_stops_alone,
        admission.nonsense_goes_on,
        admission.pause_ends_at_once,
        admission.pause_of_the_fleet_overlooked,
        admission.names_in_control_taken_literally,
        admission.undecided_refusals_stop_nothing,
        suspicion.outages_are_not_noticed,
        suspicion.one_video_is_an_outage,
        suspicion.facts_about_a_video_are_not_counted,
        suspicion.suspected_failures_are_counted,
        suspicion.nothing_is_given_back,
        suspicion.suspicion_holds_nobody_back,
        suspicion.each_process_counts_for_itself,
        suspicion.successes_prove_nothing,
        suspicion.canary_is_not_believed,
        suspicion.versions_are_one,
        needs.any_machine_claims_what_waits,
        needs.what_waits_is_never_given_up,
        needs.offers_never_run_out,
        needs.offers_are_overlooked,
        needs.needs_are_forgotten,
        needs.countries_are_tried_again,
    )
}
"""By name."""


def sentence(name: str) -> str:
    """Return what is wrong with a mutation."""
    return str(MUTATIONS[name].__doc__).strip()
