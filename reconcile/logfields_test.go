package reconcile

import (
	"fmt"
	"slices"
	"testing"
)

// reading is a Log that reads lines as told.
func (d *desk) reading(o LogOptions) *Log {
	d.t.Helper()
	o.Records = d.records
	if o.Journal == "" {
		o.Path = d.path
	}
	l, err := NewLog(o)
	d.must(err)
	return l
}

// Two items on one log read different lines of it, each from its start and through a rotation.
func TestLogIsReadInTwoWays(t *testing.T) {
	d := newDesk(t)
	one := LogOptions{Fields: LogFields{EventID: "$.event_id"}}
	other := LogOptions{Pattern: `^took (?P<event_id>\S+)$`}
	mixed := func() string {
		d.n++
		id := fmt.Sprintf("took_%d", d.n)
		d.want[id] = true
		return d.line() + "took " + id + "\n"
	}
	for range 3 {
		d.append(d.path, mixed()+mixed())
		for _, o := range []LogOptions{one, other} {
			d.must(d.reading(o).Sync(t.Context()))
		}
		d.check(true)
		d.append(d.path, mixed())
		d.rename("", ".1")
	}
	d.append(d.path, "")
	for _, o := range []LogOptions{one, other, one, other} {
		d.must(d.reading(o).Sync(t.Context()))
	}
	d.check(true)
}

// A field that was wrong is corrected: what it hid is read, and once.
func TestLogIsReadAgainWithOtherFields(t *testing.T) {
	wrong := map[string]LogOptions{
		"another path":    {Fields: LogFields{EventID: "$.id"}},
		"another status":  {Fields: LogFields{EventID: "$.event_id", Status: "$.rest"}},
		"a pattern":       {Pattern: `^(?P<event_id>evt_\S+)`},
		"another pattern": {Pattern: `^(?P<event_id>evt_\S+) `},
	}
	right := map[string]LogOptions{"fields": {Fields: LogFields{EventID: "$.event_id"}}, "a pattern": {Pattern: `"event_id":"(?P<event_id>[^"]+)"`}}
	for was, before := range wrong {
		for is, after := range right {
			t.Run(was+" to "+is, func(t *testing.T) {
				d := newDesk(t)
				d.append(d.path, d.lines(30))
				d.must(d.reading(before).Sync(t.Context()))
				if len(d.records.seen) != 0 {
					t.Fatalf("%v were recorded by wrong fields", d.records.seen)
				}
				for range 2 {
					d.must(d.reading(after).Sync(t.Context()))
					d.check(true)
					d.append(d.path, d.line())
				}
				d.must(d.reading(after).Sync(t.Context()))
				d.check(true)
			})
		}
	}
}

func TestJournalIsReadAgainWithOtherFields(t *testing.T) {
	j := newJournalDesk(t)
	j.add("a.journal", "receiver.service", "evt_1", `{"event_id":"evt_json"}`)
	wrong := LogOptions{Journal: "receiver.service", Fields: LogFields{EventID: "$.event_id"}}
	j.want["evt_json"] = true
	for range 2 {
		j.must(j.reading(wrong.InJournals(j.dir)).Sync(t.Context()))
		j.check(true)
	}
	j.add("b.journal", "receiver.service", "evt_2")
	right := wrong
	right.Fields, right.Pattern = LogFields{}, `^(?P<event_id>evt_\d+)$`
	j.want["evt_1"], j.want["evt_2"] = true, true
	for range 2 {
		j.must(j.reading(right.InJournals(j.dir)).Sync(t.Context()))
		j.must(j.reading(wrong.InJournals(j.dir)).Sync(t.Context()))
		j.check(true)
	}
}

// What tells readings apart is each field and where it stands, and nothing else.
func TestFieldsPrint(t *testing.T) {
	prints := []string{
		fieldsPrint("", LogFields{EventID: "$.a"}), fieldsPrint("", LogFields{EventID: "$.b"}),
		fieldsPrint("", LogFields{EventType: "$.a", EventData: "$.b"}), fieldsPrint("", LogFields{EventType: "$.b", EventData: "$.a"}),
		fieldsPrint("", LogFields{EventID: "$.a", Status: "$.b"}), fieldsPrint("", LogFields{EventID: "$.a", ReceivedAt: "$.b"}),
		fieldsPrint("$.a", LogFields{}), fieldsPrint(`(?P<event_id>.)`, LogFields{}),
	}
	if again := fieldsPrint("", LogFields{EventID: "$.a"}); again != prints[0] || again != "1d14858d1432" {
		t.Errorf("%q, then %q: what was kept under it is not found", prints[0], again)
	}
	slices.Sort(prints)
	if different := slices.Compact(slices.Clone(prints)); len(different) != len(prints) {
		t.Errorf("two readings have one fingerprint: %v", prints)
	}
}
