package doctor

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"backstop/internal/heygen"
)

// TestType is the event type of the receiver's test unless a person chooses one:
// no receiver takes it for anything that HeyGen sends.
const TestType = "backstop.test"

// Test is the receiver's test: signed events as a replay is, one of them twice, and
// two that a receiver should refuse.
type Test struct {
	Type   string        // event_type; "": TestType
	Limit  time.Duration // of one POST, as configured
	Paused string        // why nothing may be sent; "": it may
	Post   func(context.Context, Trial) Reply
}

// Trial is one POST of the test.
type Trial struct {
	Event  heygen.Event
	At     time.Time // what Heygen-Timestamp says; zero: now
	Forged bool      // signed with another secret
}

// Reply is what came of it.
type Reply struct {
	Status  int    // HTTP; 0: no answer
	Err     string // why there was none, or where a redirect leads
	Latency time.Duration
}

// String says it in a few words.
func (r Reply) String() string {
	took := fmt.Sprintf("after %s", r.Latency.Round(time.Millisecond))
	switch {
	case r.Status == 0:
		return r.Err + " " + took
	case r.Err != "":
		return fmt.Sprintf("%d (%s) %s", r.Status, r.Err, took)
	}
	return fmt.Sprintf("%d %s", r.Status, took)
}

func (r Reply) accepted() bool { return r.Status/100 == 2 }

// tooOld is far beyond what receivers allow, and what a clock may be off.
const tooOld = time.Hour

// testSteps are one step for each POST, so that each line shows when it is known.
// Of the four ids only the second is one that the receiver has met.
func (p Patient) testSteps() []step {
	limit := p.Test.Limit + grace
	event := p.Test.event()
	return []step{
		{"test type", network, p.lookTestType},
		{"test event", limit, func(ctx context.Context, k known) ([]Check, known) {
			if c, not := p.untestable(k); not {
				return []Check{c}, k
			}
			reply := p.Test.Post(ctx, Trial{Event: event})
			k.accepted = reply.accepted()
			first := judgeFirst(reply, p.Test.custom())
			if k.stranger {
				first.Found += "; HeyGen has no type " + p.Test.Type
			}
			if k.accepted {
				return []Check{first}, k
			}
			return []Check{first, unchecked("other tests", "the test event was not accepted")}, k
		}},
		{"test duplicate", limit, second(func(ctx context.Context) Check {
			return judgeDuplicate(p.Test.Post(ctx, Trial{Event: event}))
		})},
		{"test wrong signature", limit, second(p.signed("test wrong signature", func(ctx context.Context) Check {
			return judgeForged(p.Test.Post(ctx, Trial{Event: p.Test.event(), Forged: true}))
		}))},
		{"test old timestamp", limit, second(p.signed("test old timestamp", func(ctx context.Context) Check {
			return judgeOld(p.Test.Post(ctx, Trial{Event: p.Test.event(), At: time.Now().Add(-tooOld)}))
		}))},
	}
}

// untestable is why nothing can be sent.
func (p Patient) untestable(k known) (Check, bool) {
	switch {
	case p.Mistaken["receiver"]:
		return unchecked("test event", "receiver has mistakes in the configuration"), true
	case p.Receiver.URL == "":
		return fail("test event", "write receiver.url, or set BACKSTOP_RECEIVER_URL", "not sent: receiver.url is empty"), true
	case p.Receiver.Secret != "" || p.Receiver.Headers != "":
		return fail("test event", "make the receiver's secret and headers readable", "not sent: a replay could not be sent either"), true
	case p.Test.Paused != "":
		return warn("test event", "`backstop resume`, then run it again", "not sent: replaying is paused (%s)", p.Test.Paused), true
	case !k.receiver:
		return unchecked("test event", "the receiver is not reached"), true
	}
	return Check{}, false
}

// lookTestType asks whether the type that a person chose is one of HeyGen's. It
// has no line of its own.
func (p Patient) lookTestType(ctx context.Context, k known) ([]Check, known) {
	if !p.Test.custom() || !k.key {
		return nil, k
	}
	types, err := p.Listing.API.EventTypes(ctx)
	k.stranger = err == nil && !slices.ContainsFunc(types, func(t heygen.EventType) bool { return t.EventType == p.Test.Type })
	return nil, k
}

// second makes the look of a POST that means something only once the first one was
// accepted; without that the first one's line has said so.
func second(look func(context.Context) Check) func(context.Context, known) ([]Check, known) {
	return func(ctx context.Context, k known) ([]Check, known) {
		if !k.accepted {
			return nil, k
		}
		return []Check{look(ctx)}, k
	}
}

// signed makes the look of a POST that is about the signature.
func (p Patient) signed(name string, look func(context.Context) Check) func(context.Context) Check {
	if p.Receiver.Signed {
		return look
	}
	return func(context.Context) Check {
		return warn(name, "write receiver.secret_file or set HEYGEN_WEBHOOK_SECRET", "not sent: without receiver.secret nothing is signed")
	}
}

func judgeFirst(r Reply, custom bool) Check {
	const name = "test event"
	another := "`--event-type avatar_video.success` sends one of a type that it knows"
	if custom {
		another = "`backstop explain` of a real event shows whether it takes those"
	}
	switch {
	case r.accepted():
		return ok(name, "accepted: %s", r)
	case r.Status == 0:
		return fail(name, "see in the receiver's log whether it hangs or breaks off; receiver.timeout is the patience", "no answer: %s", r)
	case r.Status == 401 || r.Status == 403:
		return fail(name, "compare receiver.secret with the endpoint's (`backstop sign` shows a signature), and the clocks", "refused: %s", r)
	case r.Status/100 == 3:
		return fail(name, "write the address that it leads to into receiver.url", "a redirect, which replays do not follow: %s", r)
	case r.Status == 404 || r.Status == 405 || r.Status == 410:
		return fail(name, "check the path of receiver.url; or, where it answers so to types it does not know, "+another, "not taken there: %s", r)
	case r.Status == 408 || r.Status == 425 || r.Status == 429:
		return warn(name, "run it again later; a replay would be tried again", "not now: %s", r)
	case r.Status/100 == 4 && custom:
		return fail(name, "see the receiver's log for why", "refused: %s", r)
	case r.Status/100 == 4:
		return warn(name, "if it is for the type, "+another+"; a receiver had better answer 2xx to types it does not know", "refused: %s", r)
	}
	return fail(name, "see the receiver's log", "the receiver failed: %s", r)
}

func judgeDuplicate(r Reply) Check {
	const name = "test duplicate"
	switch {
	case r.accepted():
		return ok(name, "the same event again is accepted: %s", r)
	case r.Status/100 == 4:
		return warn(name, "answer 2xx to an id that the receiver has already; its log shows which answer is about the id",
			"the same event again is refused: %s. A replay whose first answer was lost then looks failed, and ends dead", r)
	case r.Status == 0:
		return warn(name, "see why the receiver hangs or breaks off on an id that it has", "the same event again gets no answer: %s", r)
	}
	return warn(name, "answer 2xx to an id that the receiver has already", "the same event again fails: %s. A replay whose first answer was lost is then tried until it is dead", r)
}

func judgeForged(r Reply) Check {
	const name = "test wrong signature"
	switch {
	case r.accepted():
		return warn(name, "verify Heygen-Signature (HMAC-SHA256 of the raw body) before anything else; see that what answers is the receiver and nothing in front of it",
			"accepted: %s. Anybody who knows the URL can make events up", r)
	case r.Status/100 == 4:
		return ok(name, "refused, as it should be: %s", r)
	}
	return warn(name, "answer 401 to a signature that does not fit", "neither accepted nor refused: %s. It looks like an outage", r)
}

func judgeOld(r Reply) Check {
	const name = "test old timestamp"
	switch {
	case r.accepted():
		return warn(name, "refuse a Heygen-Timestamp over 300 s old, and keep the event ids: HeyGen does not sign the timestamp, so it is the ids that stop a copied request",
			"an event of an hour ago is accepted: %s", r)
	case r.Status/100 == 4:
		return ok(name, "refused, as it should be: %s", r)
	}
	return warn(name, "answer 401 to a timestamp that is too old", "neither accepted nor refused: %s. It looks like an outage", r)
}

func (t Test) custom() bool { return t.Type != "" && t.Type != TestType }

// event makes a synthetic event, with an id and an entity that nobody has.
func (t Test) event() heygen.Event {
	kind, id := t.Type, "backstop-test-"+strings.ToLower(rand.Text())
	if kind == "" {
		kind = TestType
	}
	fields := map[string]any{entityKey(kind): id, "callback_id": nil, "backstop_test": true}
	if strings.HasSuffix(kind, ".success") {
		fields["url"] = "https://backstop-test.invalid/" + id + ".mp4"
	}
	data, err := json.Marshal(fields, json.Deterministic(true))
	if err != nil {
		data = []byte("{}") // unreachable: strings and a bool
	}
	now := time.Now().UTC().Truncate(time.Second)
	return heygen.Event{ID: id, Type: kind, Data: data, CreatedAt: now, Created: now.Format(time.RFC3339)}
}

// entityKey is the field by which HeyGen names what an event is about.
func entityKey(kind string) string {
	family, _, _ := strings.Cut(kind, ".")
	switch family {
	case "hyperframes_video":
		return "render_id"
	case "video_translate":
		return "video_translate_id"
	case "video_agent":
		return "session_id"
	case "personalized_video":
		return "project_id"
	case "batch":
		return "batch_id"
	case "ai_clipping":
		return "id"
	}
	if strings.HasPrefix(family, "avatar_video") || kind == TestType {
		return "video_id"
	}
	return "id"
}
