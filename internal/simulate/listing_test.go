package simulate

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"backstop/internal/heygen"
)

var seedFlag = flag.Uint64("seed", 0, "run the random tests with this seed only; 0: all")

// seeds returns the seeds a random test runs with.
func seeds(n uint64) []uint64 {
	if *seedFlag != 0 {
		return []uint64{*seedFlag}
	}
	all := make([]uint64, n)
	for i := range all {
		all[i] = uint64(i) + 1
	}
	return all
}

func ids(rows []row) []string {
	out := make([]string, len(rows))
	for i, r := range rows {
		out[i] = r.ID
	}
	return out
}

func TestCursorsHoldWhileEventsComeIn(t *testing.T) {
	for _, seed := range seeds(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		order := []string{Newest, Oldest, Shuffled}[r.IntN(3)]
		w := New(Options{Seed: seed, Events: r.IntN(120), Faults: Faults{Order: order}})
		before, known := w.Listed(), 0
		rows := walk(t, w, 1+r.IntN(20), func() {
			known = w.Stats().Listed // when the page was read
			for range r.IntN(4) {
				if w.Stats().Made < 60 {
					if _, err := w.Create(Recipe{}); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
		got := map[string]int{}
		for _, id := range ids(rows) {
			if got[id]++; got[id] > 1 {
				t.Fatalf("seed %d, %s: %s listed twice in one walk", seed, order, id)
			}
		}
		for _, id := range before {
			if got[id] == 0 {
				t.Fatalf("seed %d, %s: %s skipped", seed, order, id)
			}
		}
		if order == Oldest && len(rows) != known {
			t.Fatalf("seed %d: read %d of %d though new events come behind the cursor", seed, len(rows), known)
		}
	}
}

func TestAnEventListedLateMovesNoCursor(t *testing.T) {
	w := New(Options{Seed: 4, Events: 40, Start: time.Now().Add(-time.Hour)})
	hidden, err := w.Create(Recipe{Hidden: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, err := w.Create(Recipe{}); err != nil {
			t.Fatal(err)
		}
	}
	first := listing(t, w, 10, "")
	w.mu.Lock()
	w.fresh[0].listed = time.Now() // its time has come, behind the cursor
	w.mu.Unlock()
	rest := []row{}
	for token := first.Token; token != nil; {
		a := listing(t, w, 10, *token)
		rest, token = append(rest, a.Data...), a.Token
	}
	all := append(ids(first.Data), ids(rest)...)
	if len(all) != 61 || len(all) != len(slices.Compact(slices.Sorted(slices.Values(all)))) {
		t.Errorf("walked %d rows, want each of 61 once", len(all))
	}
	if !slices.Contains(ids(rest), hidden.ID) {
		t.Error("the late event is not in the listing at its place")
	}
}

func TestOrders(t *testing.T) {
	for _, order := range []string{"", Newest, Oldest, Shuffled} {
		w := New(Options{Seed: 9, Events: 500, Start: begin(), Faults: Faults{Order: order}})
		rows := walk(t, w, 100, nil)
		if len(rows) != 500 {
			t.Fatalf("%q: %d rows", order, len(rows))
		}
		up := slices.IsSortedFunc(rows, func(a, b row) int { return strings.Compare(a.Created, b.Created) })
		down := slices.IsSortedFunc(rows, func(a, b row) int { return strings.Compare(b.Created, a.Created) })
		if up != (order == Oldest) || down != (order == "" || order == Newest) {
			t.Errorf("%q: ascending %v, descending %v", order, up, down)
		}
		got := slices.Sorted(slices.Values(ids(rows)))
		if want := slices.Sorted(slices.Values(w.Listed())); !slices.Equal(got, want) {
			t.Errorf("%q: the walk and Listed differ", order)
		}
	}
}

// hash is the listing as one number.
func hash(t *testing.T, seed uint64) string {
	w := New(Options{Seed: seed, Events: 300, Start: begin()})
	h := sha256.New()
	token := ""
	for {
		target := "/v3/webhooks/events?limit=100&token=" + strings.NewReplacer("+", "%2B", "/", "%2F", "=", "%3D").Replace(token)
		rw := ask(w, http.MethodGet, target, "")
		h.Write(rw.Body.Bytes())
		h.Write([]byte(rw.Header().Get("X-Request-Id")))
		var a answer
		if err := json.Unmarshal(rw.Body.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		if a.Token == nil {
			return hex.EncodeToString(h.Sum(nil))
		}
		token = *a.Token
	}
}

func TestOneSeedOneListing(t *testing.T) {
	if first, second := hash(t, 7), hash(t, 7); first != second {
		t.Error("one seed gave two listings")
	}
	if hash(t, 7) == hash(t, 8) {
		t.Error("two seeds gave one listing")
	}
}

func TestFilters(t *testing.T) {
	w := New(Options{Seed: 3, Events: 1200, Start: begin()})
	for range 50 {
		if _, err := w.Create(Recipe{}); err != nil {
			t.Fatal(err)
		}
	}
	all := walk(t, w, 100, nil)
	byType, byEntity := map[string][]string{}, map[string][]string{}
	for _, r := range all {
		byType[r.Type] = append(byType[r.Type], r.ID)
		entity := heygen.Event{Data: r.Data}.Entity()
		byEntity[entity] = append(byEntity[entity], r.ID)
	}
	for name, want := range byType {
		if got := ids(walk(t, w, 37, nil, "event_type", name)); !slices.Equal(got, want) {
			t.Errorf("event_type %s: %d rows, want %d", name, len(got), len(want))
		}
	}
	several := 0
	for entity, want := range byEntity {
		if len(want) > 1 {
			several++
		}
		if got := ids(walk(t, w, 1, nil, "entity_id", entity)); !slices.Equal(got, want) {
			t.Errorf("entity_id %s: %v, want %v", entity, got, want)
		}
	}
	if several < 50 {
		t.Errorf("%d entities have several events; order per entity could not be judged", several)
	}
	if len(byType) < 25 {
		t.Errorf("only %d types in %d events", len(byType), len(all))
	}
	if got := w.Stats().Types; !maps.Equal(got, lengths(byType)) {
		t.Errorf("stats by type %v, listed %v", got, lengths(byType))
	}
}

func lengths(m map[string][]string) map[string]int {
	out := map[string]int{}
	for k, v := range m {
		out[k] = len(v)
	}
	return out
}

// Two events may be one fact only where a twin was asked for: else a collapse of the two would
// look like a loss.
func TestFactsAreDistinct(t *testing.T) {
	w := New(Options{Seed: 11, Events: 6000, Start: begin()})
	met := map[heygen.Fact]string{}
	for _, r := range walk(t, w, 100, nil) {
		f, ok := heygen.FactOf(r.Type, r.Data)
		if !ok {
			t.Fatalf("%s has no content key: %s", r.ID, r.Data)
		}
		if other, dup := met[f]; dup {
			t.Fatalf("%s and %s are one fact: %s", r.ID, other, r.Data)
		}
		met[f] = r.ID
	}
}

func TestPayloadsAreAwkward(t *testing.T) {
	w := New(Options{Seed: 5, Events: 2000, Start: begin()})
	seen := bytes.Buffer{}
	for _, r := range walk(t, w, 100, nil) {
		seen.Write(r.Data)
	}
	for _, want := range []string{
		`": "`, `":"`, `\/`, `\u00e9`, "é", `\ud83c`, "🎬", "&", "<", ">", `\"`, `\n`, "\u2028",
		`"callback_id":null`, `"callback_id":"`, "?Expires=", "&Signature=", "&Key-Pair-Id=", `"contact_info":{`, `"clips":[`, `"msg":`, `"duration":`,
	} {
		if want == `\n` {
			want = `\u000a`
		}
		if !bytes.Contains(seen.Bytes(), []byte(want)) {
			t.Errorf("no event_data has %q", want)
		}
	}
}

func TestTwins(t *testing.T) {
	w := New(Options{Seed: 2, Twins: 1, PushURL: "http://127.0.0.1:1/"})
	e, err := w.Create(Recipe{Type: baseType, Push: NeverSent})
	if err != nil {
		t.Fatal(err)
	}
	rows := walk(t, w, 10, nil, "entity_id", e.Entity)
	if len(rows) != 2 || rows[0].ID == rows[1].ID || !bytes.Equal(rows[0].Data, rows[1].Data) {
		t.Fatalf("want one fact under two ids, have %v", ids(rows))
	}
	if s := w.Stats(); s.Twins != 1 || s.Lost != 1 || s.Made != 2 {
		t.Errorf("stats %+v", s)
	}
}
