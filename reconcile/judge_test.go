package reconcile

import (
	"testing"
	"time"

	"backstop/internal/heygen"
	"backstop/state"
)

// noon is the now of the tables.
func noon() time.Time { return time.Date(2026, 3, 25, 12, 0, 0, 0, time.UTC) }

func TestJudge(t *testing.T) {
	var (
		now      = noon()
		old      = now.Add(-time.Hour)
		fresh    = now.Add(-time.Minute)
		policy   = Policy{Settle: 5 * time.Minute, CollapseWindow: 10 * time.Minute, Baseline: now.Add(-2 * time.Hour)}
		failing  = Policy{Settle: 5 * time.Minute, SourceFailed: []string{"query", "log 2"}}
		floored  = Policy{Settle: 5 * time.Minute, Floor: now.Add(-30 * time.Minute)}
		both     = Policy{Settle: 5 * time.Minute, Floor: now.Add(-30 * time.Minute), Baseline: now.Add(-20 * time.Minute)}
		reported = "reported by the receiver at 2026-03-25T11:30:00Z"
		restored = Policy{Settle: 5 * time.Minute, Baseline: now.Add(-2 * time.Hour), Lost: state.Range{From: now.Add(-40 * time.Minute), To: now.Add(-30 * time.Minute)}}
		gone     = "; withheld: what the receiver got between 2026-03-25T11:20:00Z and 2026-03-25T11:30:00Z was lost with the state; replay or ignore it"
		none     = "listed, settled, no proof that the receiver has it"
		half     = now.Add(-30 * time.Minute)
	)
	for _, tc := range []struct {
		name    string
		created time.Time
		known   state.Known
		policy  Policy
		want    Verdict
	}{
		{"missed, never in the state", old, state.Known{}, policy,
			Verdict{Status: state.Missed, Why: "listed, settled, no proof that the receiver has it"}},
		{"missed, listed", old, state.Known{Status: state.Settling, Listed: half}, policy,
			Verdict{Status: state.Missed, Why: "listed at 2026-03-25T11:30:00Z, settled, no proof that the receiver has it"}},
		{"missed, flagged", old, state.Known{Status: state.Settling, Listed: half, Newer: "evt_2"}, policy,
			Verdict{Status: state.Missed, Why: "listed at 2026-03-25T11:30:00Z, settled, no proof that the receiver has it; a newer event of its entity was already seen: evt_2"}},
		{"missed at the very second it settles", now.Add(-5 * time.Minute), state.Known{}, policy,
			Verdict{Status: state.Missed, Why: "listed, settled, no proof that the receiver has it"}},
		{"settling until a second later", now.Add(-5*time.Minute + time.Second), state.Known{}, policy,
			Verdict{Status: state.Settling, Why: "settling until 2026-03-25T12:00:01Z"}},
		{"settling, created in the future", now.Add(time.Hour), state.Known{}, policy,
			Verdict{Status: state.Settling, Why: "settling until 2026-03-25T13:05:00Z"}},
		{"settling while its walk goes on", old, state.Known{Walking: true}, policy,
			Verdict{Status: state.Settling, Why: "the walk that found it has not ended"}},
		{"undated, just listed", time.Time{}, state.Known{Status: state.Settling, Listed: fresh}, policy,
			Verdict{Status: state.Settling, Why: "settling until 2026-03-25T12:04:00Z"}},
		{"undated, listed long ago", time.Time{}, state.Known{Status: state.Settling, Listed: old}, policy,
			Verdict{Status: state.Missed, Why: "listed at 2026-03-25T11:00:00Z, settled, no proof that the receiver has it"}},
		{"undated, not in the state", time.Time{}, state.Known{}, policy,
			Verdict{Status: state.Settling, Why: "undated: it settles from its first listing"}},
		{"listed, a source failed", old, state.Known{Status: state.Settling, Listed: old}, failing,
			Verdict{Status: state.Listed, Why: "settled, but a source could not answer: query, log 2"}},
		{"listed before, the sources answer again", old, state.Known{Status: state.Listed, Listed: half, Why: "settled, but …"}, policy,
			Verdict{Status: state.Missed, Why: "listed at 2026-03-25T11:30:00Z, settled, no proof that the receiver has it"}},
		{"a failed source does not judge the young", fresh, state.Known{}, failing,
			Verdict{Status: state.Settling, Why: "settling until 2026-03-25T12:04:00Z"}},

		{"withheld, created in the lost time", now.Add(-35 * time.Minute), state.Known{}, restored,
			Verdict{Status: state.Missed, Withheld: true, Why: none + gone}},
		{"withheld, created before it: a sweep may have replayed it", now.Add(-119 * time.Minute), state.Known{}, restored,
			Verdict{Status: state.Missed, Withheld: true, Why: none + gone}},
		{"withheld at the last second of the lost time", half.Add(-time.Second), state.Known{Listed: half}, restored,
			Verdict{Status: state.Missed, Withheld: true, Why: "listed at 2026-03-25T11:30:00Z, settled, no proof that the receiver has it" + gone}},
		{"not withheld, created after it", half, state.Known{Listed: half}, restored,
			Verdict{Status: state.Missed, Why: "listed at 2026-03-25T11:30:00Z, settled, no proof that the receiver has it"}},
		{"withheld, listed in the copy and dated later", half.Add(time.Minute), state.Known{Status: state.Settling, Listed: half.Add(-time.Hour)}, restored,
			Verdict{Status: state.Missed, Withheld: true, Why: "listed at 2026-03-25T10:30:00Z, settled, no proof that the receiver has it" + gone}},
		{"withheld, undated and listed soon after", time.Time{}, state.Known{Status: state.Settling, Listed: half.Add(time.Minute)}, restored,
			Verdict{Status: state.Missed, Withheld: true, Why: "listed at 2026-03-25T11:31:00Z, settled, no proof that the receiver has it" + gone}},
		{"not withheld, undated and listed a day after", time.Time{}, state.Known{Status: state.Settling, Listed: now.Add(-time.Hour)},
			Policy{Settle: 5 * time.Minute, Lost: state.Range{To: now.Add(-26 * time.Hour)}},
			Verdict{Status: state.Missed, Why: "listed at 2026-03-25T11:00:00Z, settled, no proof that the receiver has it"}},
		{"withheld, of a copy that tells no time", now.Add(-35 * time.Minute), state.Known{}, Policy{Settle: 5 * time.Minute, Lost: state.Range{To: half}},
			Verdict{Status: state.Missed, Withheld: true, Why: none + "; withheld: what the receiver got before 2026-03-25T11:30:00Z was lost with the state; replay or ignore it"}},
		{"withheld on record", old, state.Known{Status: state.Missed, Why: "it was …", Withheld: true}, restored,
			Verdict{Status: state.Missed, Withheld: true, Why: "it was …"}},
		{"asked for since", old, state.Known{Status: state.Missed, Why: "queued by ann"}, restored,
			Verdict{Status: state.Missed, Why: "queued by ann"}},
		{"a restore holds back no proof", old, state.Known{Status: state.Missed, Withheld: true, Reported: state.Import}, restored,
			Verdict{Status: state.Seen, Proof: state.Import, Why: "imported as seen"}},
		{"a restore judges nothing below the baseline", now.Add(-3 * time.Hour), state.Known{}, restored,
			Verdict{Status: state.Seen, Proof: state.Baseline, Why: "baseline: older than the first run"}},

		{"seen by a report of its id", fresh, state.Known{Status: state.Settling, Reported: state.Report, ReportedAt: half}, policy,
			Verdict{Status: state.Seen, Proof: state.Report, Why: reported}},
		{"seen although a source failed", old, state.Known{Reported: state.Report, ReportedAt: half}, failing,
			Verdict{Status: state.Seen, Proof: state.Report, Why: reported}},
		{"seen although its walk goes on", old, state.Known{Walking: true, Reported: state.Report, ReportedAt: half}, policy,
			Verdict{Status: state.Seen, Proof: state.Report, Why: reported}},
		{"late proof for a missed one", old, state.Known{Status: state.Missed, Reported: state.Log, ReportedAt: half}, policy,
			Verdict{Status: state.Seen, Proof: state.Log, Why: "in the receiver's log at 2026-03-25T11:30:00Z"}},
		{"late proof for a dead one", old, state.Known{Status: state.Dead, Reported: state.Mirror, ReportedAt: half}, policy,
			Verdict{Status: state.Seen, Proof: state.Mirror, Why: "mirrored by the receiver at 2026-03-25T11:30:00Z"}},
		{"late proof for an ignored one", old, state.Known{Status: state.Ignored, Reported: state.Tap, ReportedAt: half}, policy,
			Verdict{Status: state.Seen, Proof: state.Tap, Why: "passed through the tap, answered 2xx at 2026-03-25T11:30:00Z"}},
		{"on record as seen", old, state.Known{Status: state.Seen, Proof: state.Replay, At: half}, policy,
			Verdict{Status: state.Seen, Proof: state.Replay, Why: "the receiver accepted a replay at 2026-03-25T11:30:00Z"}},
		{"on record as seen, with its reason", old, state.Known{Status: state.Seen, Proof: state.Replay, At: half, Why: "the receiver answered 200 to attempt 2"}, policy,
			Verdict{Status: state.Seen, Proof: state.Replay, Why: "the receiver answered 200 to attempt 2"}},
		{"on record under another created_at", old, state.Known{Status: state.Seen, Proof: state.Query, At: half, Elsewhere: true}, policy,
			Verdict{Status: state.Seen, Proof: state.Query, Why: "the receiver's database has it, asked at 2026-03-25T11:30:00Z; it was listed with another created_at before"}},
		{"the record beats a report", old, state.Known{Status: state.Seen, Proof: state.Command, At: half, Reported: state.Import}, policy,
			Verdict{Status: state.Seen, Proof: state.Command, Why: "the receiver's command has it, asked at 2026-03-25T11:30:00Z"}},
		{"imported", old, state.Known{Reported: state.Import}, policy,
			Verdict{Status: state.Seen, Proof: state.Import, Why: "imported as seen"}},
		{"baseline on record", old, state.Known{Status: state.Seen, Proof: state.Baseline, At: half}, policy,
			Verdict{Status: state.Seen, Proof: state.Baseline, Why: "baseline: older than the first run"}},

		{"accounted for by an anonymous push", fresh, state.Known{Credit: 7, CreditAt: half, CreditBy: state.Mirror}, policy,
			Verdict{Status: state.Seen, Proof: state.Mirror, Credit: 7, Why: "mirrored by the receiver at 2026-03-25T11:30:00Z, without an id: matched by content"}},
		{"an id beats a credit", old, state.Known{Reported: state.Report, ReportedAt: half, Credit: 7}, policy,
			Verdict{Status: state.Seen, Proof: state.Report, Why: reported}},
		{"a credit beats a twin", old, state.Known{Credit: 7, CreditAt: half, CreditBy: state.Mirror, Twin: "evt_1", TwinStatus: state.Missed}, policy,
			Verdict{Status: state.Seen, Proof: state.Mirror, Credit: 7, Why: "mirrored by the receiver at 2026-03-25T11:30:00Z, without an id: matched by content"}},

		{"twin of a seen one", old, state.Known{Twin: "evt_1", TwinStatus: state.Seen, TwinProof: state.Tap}, policy,
			Verdict{Status: state.Seen, Proof: state.Tap, Twin: "evt_1", Why: "same fact as evt_1"}},
		{"twin of a missed one", old, state.Known{Twin: "evt_1", TwinStatus: state.Missed}, policy,
			Verdict{Status: state.Seen, Twin: "evt_1", Why: "same fact as evt_1"}},
		{"twin of a dead one", old, state.Known{Twin: "evt_1", TwinStatus: state.Dead}, policy,
			Verdict{Status: state.Missed, Why: "listed, settled, no proof that the receiver has it"}},
		{"twin of an ignored one", old, state.Known{Twin: "evt_1", TwinStatus: state.Ignored}, policy,
			Verdict{Status: state.Missed, Why: "listed, settled, no proof that the receiver has it"}},
		{"twin of a baseline one", old, state.Known{Twin: "evt_1", TwinStatus: state.Seen, TwinProof: state.Baseline}, policy,
			Verdict{Status: state.Missed, Why: "listed, settled, no proof that the receiver has it"}},

		{"missed stays", old, state.Known{Status: state.Missed, At: half, Why: "listed at T"}, failing,
			Verdict{Status: state.Missed, Why: "listed at T"}},
		{"replaying stays", old, state.Known{Status: state.Replaying, Why: "attempt 1: 500"}, policy,
			Verdict{Status: state.Replaying, Why: "attempt 1: 500"}},
		{"dead stays", old, state.Known{Status: state.Dead, Why: "refused"}, policy,
			Verdict{Status: state.Dead, Why: "refused"}},
		{"dead without a reason", old, state.Known{Status: state.Dead, At: half}, policy,
			Verdict{Status: state.Dead, Why: "dead, 2026-03-25T11:30:00Z"}},
		{"ignored stays", old, state.Known{Status: state.Ignored, Why: "by hand"}, policy,
			Verdict{Status: state.Ignored, Why: "by hand"}},
		{"what was decided is no twin", old, state.Known{Status: state.Dead, Why: "refused", Twin: "evt_1", TwinStatus: state.Seen}, policy,
			Verdict{Status: state.Dead, Why: "refused"}},

		{"older than the baseline", now.Add(-3 * time.Hour), state.Known{}, policy,
			Verdict{Status: state.Seen, Proof: state.Baseline, Why: "baseline: older than the first run"}},
		{"older than the baseline, but a backfill was asked for it", now.Add(-3 * time.Hour),
			state.Known{Status: state.Settling, Listed: half, Backfill: true}, policy,
			Verdict{Status: state.Missed, Why: "listed at 2026-03-25T11:30:00Z, settled, no proof that the receiver has it"}},
		{"older than the floor, but a backfill was asked for it", old, state.Known{Status: state.Settling, Listed: half, Backfill: true}, floored,
			Verdict{Status: state.Missed, Why: "listed at 2026-03-25T11:30:00Z, settled, no proof that the receiver has it"}},
		{"at the baseline", now.Add(-2 * time.Hour), state.Known{}, policy,
			Verdict{Status: state.Missed, Why: "listed, settled, no proof that the receiver has it"}},
		{"older than the floor", old, state.Known{}, floored,
			Verdict{Status: state.Ignored, Why: "older than the floor, 2026-03-25T11:30:00Z: its records were pruned"}},
		{"at the floor", half, state.Known{}, floored,
			Verdict{Status: state.Missed, Why: "listed, settled, no proof that the receiver has it"}},
		{"older than both", old, state.Known{}, both,
			Verdict{Status: state.Seen, Proof: state.Baseline, Why: "baseline: older than the first run"}},
		{"proof beats the floor", old, state.Known{Reported: state.Report, ReportedAt: half}, floored,
			Verdict{Status: state.Seen, Proof: state.Report, Why: reported}},
		{"a record beats the baseline", now.Add(-3 * time.Hour), state.Known{Status: state.Missed, Why: "backfill"}, policy,
			Verdict{Status: state.Missed, Why: "backfill"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := Judge(heygen.Event{ID: "evt_9", CreatedAt: tc.created}, tc.known, now, tc.policy)
			if got != tc.want {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

// Every verdict, whatever is known, has a status and a reason, and a proof only
// where it says seen.
func TestJudgeAlwaysSaysWhy(t *testing.T) {
	now := noon()
	for status := state.Status(0); status <= state.Ignored; status++ {
		for proof := state.None; proof <= state.Baseline; proof++ {
			for _, created := range []time.Time{{}, now, now.Add(-time.Hour)} {
				k := state.Known{Status: status, Proof: proof, Reported: proof}
				v := Judge(heygen.Event{ID: "evt_9", CreatedAt: created}, k, now, Policy{Settle: time.Minute})
				if v.Status == 0 || v.Why == "" || v.Proof != state.None && v.Status != state.Seen {
					t.Errorf("%s, %s: %+v", status, proof, v)
				}
			}
		}
	}
}
