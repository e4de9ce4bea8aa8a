package reconcile

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"backstop/internal/heygen"
	"backstop/state"
)

// claimOf is the claim of attempt seq of evt_1 after the given attempts.
func claimOf(seq uint64, history ...state.Attempt) state.Claim {
	return state.Claim{Event: heygen.Event{ID: "evt_1"}, Seq: seq, Attempt: len(history) + 1, History: history}
}

// failures are n attempts with one answer, the last with the number seq.
func failures(n int, status int, counted bool, seq uint64) []state.Attempt {
	var h []state.Attempt
	for i := range n {
		h = append(h, state.Attempt{Status: status, Counted: counted, Seq: seq - uint64(n-1-i)})
	}
	return h
}

func status(code int) Answer { return Answer{Status: code, Class: classOf(code)} }

func TestDecide(t *testing.T) {
	now := noon()
	limits := Limits{BackoffMin: 5 * time.Second, BackoffMax: time.Hour, MaxAttempts: 12}
	timeout := Answer{Err: "timeout", Class: Retry, Latency: 10 * time.Second}
	in := func(d time.Duration) time.Time { return now.Add(d) }
	okAt := func(seq uint64) state.Receiver { return state.Receiver{OKSeq: seq, OKID: "evt_2", OKAt: now} }
	broken := state.Receiver{Misconfigured: "it answered 401", Since: in(-time.Minute), NextProbe: in(-time.Second), Probes: 2}

	type want struct {
		status   state.Status
		counted  bool
		due      time.Time
		receiver *state.Receiver
	}
	for _, tc := range []struct {
		name     string
		claim    state.Claim
		answer   Answer
		receiver state.Receiver
		limits   *Limits
		want     want
	}{
		{name: "2xx", claim: claimOf(7), answer: status(204),
			want: want{status: state.Seen, receiver: &state.Receiver{OKSeq: 7, OKID: "evt_1", OKAt: now}}},
		{name: "2xx ends a streak of refusals", claim: claimOf(7), answer: status(200), receiver: state.Receiver{Refusals: []string{"a", "b"}},
			want: want{status: state.Seen, receiver: &state.Receiver{OKSeq: 7, OKID: "evt_1", OKAt: now}}},
		{name: "2xx resumes a misconfigured receiver", claim: claimOf(7), answer: status(200), receiver: broken,
			want: want{status: state.Seen, receiver: &state.Receiver{OKSeq: 7, OKID: "evt_1", OKAt: now}}},
		{name: "2xx of an attempt older than the last success", claim: claimOf(7), answer: status(200), receiver: okAt(9),
			want: want{status: state.Seen, receiver: &state.Receiver{OKSeq: 9, OKID: "evt_2", OKAt: now}}},
		{name: "2xx keeps a person's pause", claim: claimOf(7), answer: status(200), receiver: state.Receiver{Paused: "upgrade", PausedBy: "ann"},
			want: want{status: state.Seen, receiver: &state.Receiver{OKSeq: 7, OKID: "evt_1", OKAt: now, Paused: "upgrade", PausedBy: "ann"}}},

		{name: "5xx, first attempt, nothing else known", claim: claimOf(7), answer: status(500),
			want: want{status: state.Replaying, due: in(5 * time.Second)}},
		{name: "5xx, first attempt, another was accepted before", claim: claimOf(7), answer: status(500), receiver: okAt(6),
			want: want{status: state.Replaying, due: in(5 * time.Second)}},
		{name: "5xx, first attempt, another was accepted meanwhile", claim: claimOf(7), answer: status(500), receiver: okAt(8),
			want: want{status: state.Replaying, counted: true, due: in(5 * time.Second)}},
		{name: "5xx, no other accepted since the last attempt", claim: claimOf(7, failures(1, 500, false, 4)...), answer: status(500), receiver: okAt(3),
			want: want{status: state.Replaying, due: in(10 * time.Second)}},
		{name: "5xx, another accepted since the last attempt", claim: claimOf(7, failures(1, 500, false, 4)...), answer: status(502), receiver: okAt(5),
			want: want{status: state.Replaying, counted: true, due: in(10 * time.Second)}},
		{name: "5xx, the same event accepted since", claim: claimOf(7, failures(1, 500, false, 4)...), answer: status(502),
			receiver: state.Receiver{OKSeq: 5, OKID: "evt_1"}, want: want{status: state.Replaying, due: in(10 * time.Second)}},
		{name: "timeout is the same", claim: claimOf(7, failures(2, 0, true, 4)...), answer: timeout, receiver: okAt(5),
			want: want{status: state.Replaying, counted: true, due: in(20 * time.Second)}},
		{name: "408", claim: claimOf(7), answer: status(408), want: want{status: state.Replaying, due: in(5 * time.Second)}},
		{name: "425", claim: claimOf(7), answer: status(425), want: want{status: state.Replaying, due: in(5 * time.Second)}},
		{name: "429 with Retry-After", claim: claimOf(7), answer: Answer{Status: 429, Class: Retry, RetryAfter: time.Minute},
			want: want{status: state.Replaying, due: in(time.Minute)}},
		{name: "503 with a Retry-After of a day", claim: claimOf(7), answer: Answer{Status: 503, Class: Retry, RetryAfter: 24 * time.Hour},
			want: want{status: state.Replaying, due: in(time.Hour)}},
		{name: "11 counted failures and one that does not count", claim: claimOf(20, failures(11, 500, true, 15)...), answer: status(500), receiver: okAt(3),
			want: want{status: state.Replaying, due: in(time.Hour)}},
		{name: "the twelfth counted failure", claim: claimOf(20, failures(11, 500, true, 15)...), answer: status(500), receiver: okAt(16),
			want: want{status: state.Dead, counted: true}},
		{name: "100 uncounted failures", claim: claimOf(200, failures(100, 0, false, 150)...), answer: timeout, receiver: okAt(160),
			want: want{status: state.Replaying, counted: true, due: in(time.Hour)}},
		{name: "one attempt allowed, an outage begins", claim: claimOf(7), answer: timeout, receiver: okAt(6),
			limits: &Limits{BackoffMin: time.Second, BackoffMax: time.Minute, MaxAttempts: 1}, want: want{status: state.Replaying, due: in(time.Second)}},
		{name: "cut off by our own end", claim: claimOf(7), answer: Answer{Err: wordStopped, Class: Retry}, receiver: okAt(8),
			want: want{status: state.Replaying, due: in(5 * time.Second)}},

		{name: "a dead one that a person sends again begins anew", claim: func() state.Claim {
			c := claimOf(40, failures(12, 500, false, 30)...)
			c.Reason = state.ReasonDead
			return c
		}(), answer: status(500), receiver: okAt(31), want: want{status: state.Replaying, counted: true, due: in(5 * time.Second)}},

		{name: "422, first", claim: claimOf(7), answer: status(422),
			want: want{status: state.Replaying, counted: true, due: in(5 * time.Second), receiver: &state.Receiver{Refusals: []string{"evt_1"}}}},
		{name: "422, second, same streak", claim: claimOf(7, failures(1, 422, true, 4)...), answer: status(422), receiver: state.Receiver{Refusals: []string{"evt_1"}},
			want: want{status: state.Replaying, counted: true, due: in(10 * time.Second)}},
		{name: "404, third", claim: claimOf(7, failures(2, 422, true, 5)...), answer: status(404), receiver: state.Receiver{Refusals: []string{"evt_1"}},
			want: want{status: state.Dead, counted: true}},
		{name: "422 third, but one did not count", claim: claimOf(7, append(failures(1, 422, false, 4), failures(1, 422, true, 5)...)...), answer: status(422), receiver: state.Receiver{Refusals: []string{"evt_1"}},
			want: want{status: state.Replaying, counted: true, due: in(20 * time.Second)}},
		{name: "a 500 between does not make three", claim: claimOf(7, failures(2, 500, true, 5)...), answer: status(422),
			want: want{status: state.Replaying, counted: true, due: in(20 * time.Second), receiver: &state.Receiver{Refusals: []string{"evt_1"}}}},
		{name: "two events refused in a row", claim: claimOf(7), answer: status(400), receiver: state.Receiver{Refusals: []string{"evt_2"}},
			want: want{status: state.Replaying, counted: true, due: in(5 * time.Second), receiver: &state.Receiver{Refusals: []string{"evt_2", "evt_1"}}}},
		{name: "three events refused in a row", claim: claimOf(7), answer: status(404), receiver: state.Receiver{Refusals: []string{"evt_2", "evt_3"}},
			want: want{status: state.Replaying, due: now, receiver: &state.Receiver{
				Refusals: []string{"evt_2", "evt_3", "evt_1"}, Since: now, NextProbe: in(5 * time.Second),
				Misconfigured: "it refused 3 different events in a row, the last with 404: check that it is HeyGen's receiver and its log"}}},
		{name: "the third refusal that is also the third event", claim: claimOf(7, failures(2, 422, true, 5)...), answer: status(422), receiver: state.Receiver{Refusals: []string{"evt_2", "evt_3"}},
			want: want{status: state.Replaying, due: now, receiver: &state.Receiver{
				Refusals: []string{"evt_2", "evt_3", "evt_1"}, Since: now, NextProbe: in(5 * time.Second),
				Misconfigured: "it refused 3 different events in a row, the last with 422: check that it is HeyGen's receiver and its log"}}},

		{name: "401", claim: claimOf(7), answer: status(401),
			want: want{status: state.Replaying, due: now, receiver: &state.Receiver{Since: now, NextProbe: in(5 * time.Second),
				Misconfigured: "it answered 401: check receiver.secret, receiver.headers and the token in receiver.url"}}},
		{name: "401 at the twelfth", claim: claimOf(20, failures(11, 500, true, 15)...), answer: status(401), receiver: okAt(18),
			want: want{status: state.Replaying, due: now, receiver: &state.Receiver{OKSeq: 18, OKID: "evt_2", OKAt: now, Since: now, NextProbe: in(5 * time.Second),
				Misconfigured: "it answered 401: check receiver.secret, receiver.headers and the token in receiver.url"}}},
		{name: "405", claim: claimOf(7), answer: status(405),
			want: want{status: state.Replaying, due: now, receiver: &state.Receiver{Since: now, NextProbe: in(5 * time.Second), Misconfigured: "it answered 405: receiver.url does not take a POST"}}},
		{name: "410", claim: claimOf(7), answer: status(410),
			want: want{status: state.Replaying, due: now, receiver: &state.Receiver{Since: now, NextProbe: in(5 * time.Second), Misconfigured: "it answered 410: receiver.url is gone"}}},
		{name: "302", claim: claimOf(7), answer: Answer{Status: 302, Err: "redirect to example.com", Class: Misconfigured},
			want: want{status: state.Replaying, due: now, receiver: &state.Receiver{Since: now, NextProbe: in(5 * time.Second),
				Misconfigured: "it answered 302, redirect to example.com: set receiver.url to the final address, redirects are not followed"}}},

		{name: "a probe is refused", claim: claimOf(7, failures(2, 422, true, 5)...), answer: status(422), receiver: broken,
			want: want{status: state.Replaying, due: now, receiver: &state.Receiver{Misconfigured: "it answered 401", Since: in(-time.Minute), NextProbe: in(40 * time.Second), Probes: 3}}},
		{name: "a probe times out", claim: claimOf(7, failures(11, 500, true, 5)...), answer: Answer{Err: "timeout", Class: Retry, Latency: time.Second}, receiver: broken,
			want: want{status: state.Replaying, due: now, receiver: &state.Receiver{Misconfigured: "it answered 401", Since: in(-time.Minute), NextProbe: in(40 * time.Second), Probes: 3}}},
		{name: "a probe finds another misconfiguration", claim: claimOf(7), answer: status(410), receiver: broken,
			want: want{status: state.Replaying, due: now, receiver: &state.Receiver{Misconfigured: "it answered 410: receiver.url is gone", Since: in(-time.Minute), NextProbe: in(40 * time.Second), Probes: 3}}},
		{name: "a straggler of before the pause", claim: claimOf(7), answer: timeout, receiver: broken,
			want: want{status: state.Replaying, due: now}},
		{name: "a straggler of which the rest of the answer took long", claim: claimOf(7), answer: Answer{Status: 401, Class: Misconfigured, Begun: in(-2 * time.Second), Latency: time.Millisecond}, receiver: broken,
			want: want{status: state.Replaying, due: now}},
		{name: "a straggler that is refused does not count", claim: claimOf(7, failures(2, 422, true, 5)...), answer: Answer{Status: 422, Class: Refused, Begun: in(-time.Minute)}, receiver: broken,
			want: want{status: state.Replaying, due: now}},
		{name: "a straggler that is accepted resumes", claim: claimOf(7), answer: Answer{Status: 200, Class: OK, Begun: in(-time.Minute)}, receiver: broken,
			want: want{status: state.Seen, receiver: &state.Receiver{OKSeq: 7, OKID: "evt_1", OKAt: now}}},
		{name: "the probes come to backoff_max", claim: claimOf(7), answer: status(401), receiver: state.Receiver{Misconfigured: "it answered 401", NextProbe: now, Probes: 40},
			want: want{status: state.Replaying, due: now, receiver: &state.Receiver{
				Misconfigured: "it answered 401: check receiver.secret, receiver.headers and the token in receiver.url", NextProbe: in(time.Hour), Probes: 41}}},
		{name: "a probe that asks for more than backoff_max", claim: claimOf(7), answer: Answer{Status: 503, Class: Retry, RetryAfter: 24 * time.Hour}, receiver: broken,
			want: want{status: state.Replaying, due: now, receiver: &state.Receiver{Misconfigured: "it answered 401", Since: in(-time.Minute), NextProbe: in(time.Hour), Probes: 3}}},
		{name: "a 500 neither ends nor prolongs a streak of refusals", claim: claimOf(7), answer: status(500), receiver: state.Receiver{Refusals: []string{"evt_2", "evt_3"}},
			want: want{status: state.Replaying, due: in(5 * time.Second)}},
		{name: "408, 425 and 429 are no refusals", claim: claimOf(7), answer: status(425), receiver: state.Receiver{Refusals: []string{"evt_2", "evt_3"}},
			want: want{status: state.Replaying, due: in(5 * time.Second)}},
		{name: "the same event again is no third one", claim: claimOf(7, failures(1, 404, true, 5)...), answer: status(404), receiver: state.Receiver{Refusals: []string{"evt_1", "evt_3"}},
			want: want{status: state.Replaying, counted: true, due: in(10 * time.Second)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := limits
			if tc.limits != nil {
				l = *tc.limits
			}
			got := Decide(tc.claim, tc.answer, tc.receiver, l, now)
			if got.ID != "evt_1" || !got.Now.Equal(now) || got.Why == "" {
				t.Errorf("outcome of the wrong event, without a time, or without a reason: %+v", got)
			}
			if got.Status == state.Replaying && got.Due.Before(now) {
				t.Errorf("due %v, before now", got.Due)
			}
			if got.Attempt.Seq != tc.claim.Seq || got.Attempt.Open || got.Attempt.Status != tc.answer.Status {
				t.Errorf("attempt %+v", got.Attempt)
			}
			have := want{got.Status, got.Attempt.Counted, got.Due, got.Receiver}
			if d := cmp.Diff(tc.want, have, cmp.AllowUnexported(want{})); d != "" {
				t.Errorf("want -, got +\n%s", d)
			}
		})
	}
}

// The receiver that is passed in must not change: others hold it.
func TestDecideLeavesItsArgumentsAlone(t *testing.T) {
	refusals := make([]string, 1, 8)
	refusals[0] = "evt_2"
	rec := state.Receiver{Refusals: refusals}
	Decide(claimOf(7), status(422), rec, Limits{}, noon())
	if len(rec.Refusals) != 1 || refusals[:2][1] != "" {
		t.Errorf("refusals became %q", refusals[:2])
	}
}
