package state

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// codec writes anew what it reads of a payload.
type codec struct {
	name  string
	again func(payload []byte) []byte
}

func codecs() []codec {
	return []codec{
		{"line", func(b []byte) []byte { return decodeLine(b).encode() }},
		{"story", func(b []byte) []byte { return decodeStory(b).encode() }},
		{"entry", func(b []byte) []byte { return decodeEntry(b).encode() }},
		{"sorted", func(b []byte) []byte { return decodeSorted(b).encode() }},
		{"walked", func(b []byte) []byte { return decodeWalked(b).encode() }},
		{"ranges", func(b []byte) []byte { return encodeRanges(decodeRanges(b)) }},
		{"inbox", func(b []byte) []byte { return encodeInbox(decodeInbox(b)) }},
		{"counts", func(b []byte) []byte { c := decodeCounts(b); return c.encode() }},
		{"place", func(b []byte) []byte { return placeOf(b).key() }},
		{"record", func(b []byte) []byte {
			if r, err := decodeRecord("id", b, true); err == nil {
				return r.encode()
			}
			return nil
		}},
	}
}

// FuzzDecode: no payload makes a reader panic or ask for memory without end,
// and what was read is written so that it reads the same.
func FuzzDecode(f *testing.F) {
	r := record{kind: "t", why: "w", attempts: []Attempt{{Status: 200}}, data: []byte("{}")}
	for _, seed := range [][]byte{
		nil, {recordVersion}, r.encode(), storyOf(&r).encode(), line{status: Seen}.encode(), bytes.Repeat([]byte{0xff}, 64), {recordVersion, 0xff, 0xff, 0xff, 0xff},
		encodeInbox(time.Unix(1, 0), []named{{"a", Report, time.Unix(2, 0)}}), append([]byte{recordVersion, 0, 0, 0, 10}, bytes.Repeat([]byte{0xff}, 10)...),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, c := range codecs() {
			original := bytes.Clone(payload)
			once := c.again(payload)
			if twice := c.again(once); !bytes.Equal(once, twice) {
				t.Errorf("%s: %x reads as %x, and that as %x", c.name, payload, once, twice)
			}
			if !bytes.Equal(payload, original) || len(once) > 64*len(payload)+256 {
				t.Errorf("%s: %d bytes were changed, or became %d", c.name, len(payload), len(once))
			}
		}
	})
}

// FuzzSeal: what was sealed comes back; with one or two bits flipped, in the
// value or in its key, it does not.
func FuzzSeal(f *testing.F) {
	f.Add([]byte("key"), []byte("payload"), uint(0), uint(9))
	f.Add([]byte{}, []byte{}, uint(31), uint(31))
	f.Fuzz(func(t *testing.T, key, payload []byte, i, j uint) {
		sealed := seal(key, payload)
		if got, ok := unseal(key, sealed); !ok || !bytes.Equal(got, payload) {
			t.Fatalf("%x came back as %x, %v", payload, got, ok)
		}
		both := append(bytes.Clone(key), sealed...)
		bits := uint(len(both)) * 8
		flip := func(bit uint) { both[bit%bits/8] ^= 1 << (bit % 8) }
		flip(i)
		if j%bits != i%bits {
			flip(j)
		}
		if _, ok := unseal(both[:len(key)], both[len(key):]); ok {
			t.Errorf("bits %d and %d of %d flipped, and it opens", i%bits, j%bits, bits)
		}
		for n := range sumLen {
			if _, ok := unseal(key, sealed[:min(n, len(sealed))]); ok {
				t.Error("a value shorter than its checksum opens")
			}
		}
	})
}

// FuzzRecord: whatever is stored reads back as it was; and of a payload that ends
// early, as one of an older version does, the fields that are there read as they
// were and the others as nothing.
func FuzzRecord(f *testing.F) {
	for seed := range byte(4) { // rapid draws from the input, and gives up where it ends
		long := make([]byte, 16<<10)
		_, _ = rand.NewChaCha8([32]byte{seed}).Read(long)
		f.Add(long)
	}
	f.Fuzz(rapid.MakeFuzz(readsBack))
}

// TestRecordsReadBack is FuzzRecord with rapid's own choice of records.
func TestRecordsReadBack(t *testing.T) { rapid.Check(t, readsBack) }

func readsBack(t *rapid.T) {
	r := drawRecord(t)
	stored := r.encode()
	back, err := decodeRecord(r.id, stored, true)
	same(t, err, *r, *back)
	without, err := decodeRecord(r.id, stored, false)
	if err != nil || without.data != nil {
		t.Fatalf("without its data: %v, %q", err, without.data)
	}
	shorter(t, *r, func(cut int) record {
		header := stored[5 : len(stored)-len(r.data)]
		header = header[:cut%(len(header)+1)]
		old := binary.BigEndian.AppendUint32([]byte{recordVersion}, uint32(len(header)))
		back, err := decodeRecord(r.id, append(append(old, header...), r.data...), true)
		if err != nil {
			t.Fatal(err)
		}
		return *back
	})
	s := storyOf(r)
	same(t, nil, s, decodeStory(s.encode()))
	shorter(t, s, func(cut int) story { return decodeStory(head(s.encode(), cut)) })
	e := r.entry()
	same(t, nil, e, decodeEntry(e.encode()))
	shorter(t, e, func(cut int) entry { return decodeEntry(head(e.encode(), cut)) })
	same(t, nil, r.place(), placeOf(r.place().key()))
	day := dayOf(r.created)
	same(t, nil, r.place(), ledgerPlace(day, r.place().ledgerKey()))
	readsBackSmall(t)
}

// readsBackSmall is readsBack for what is not a record.
func readsBackSmall(t *rapid.T) {
	l := line{
		status: Status(rapid.Byte().Draw(t, "status")), proof: Proof(rapid.Byte().Draw(t, "proof")), kind: rapid.Uint16().Draw(t, "kind"),
		at: drawSecond(t), entity: rapid.Uint64().Draw(t, "entity"), fact: rapid.Uint64().Draw(t, "fact"), flags: rapid.Byte().Draw(t, "flags"), listed: drawSecond(t),
	}
	same(t, nil, l, decodeLine(l.encode()))
	shorter(t, l, func(cut int) line {
		old := decodeLine(head(l.encode(), cut))
		if cut%(len(l.encode())+1) == 3 { // half of a number that never was half
			old.kind = 0
		}
		return old
	})
	o := sorted{Proof(rapid.Byte().Draw(t, "proof")), drawSecond(t), rapid.Bool().Draw(t, "moved")}
	same(t, nil, o, decodeSorted(o.encode()))
	w := walked{drawSecond(t), drawSecond(t), drawSecond(t)}
	same(t, nil, w, decodeWalked(w.encode()))
	shorter(t, w, func(cut int) walked { return decodeWalked(head(w.encode(), cut)) })
	var c counts
	for _, field := range c.fields() {
		*field = rapid.Int64().Draw(t, "count")
	}
	same(t, nil, c, decodeCounts(c.encode()))
	shorter(t, c, func(cut int) counts { return decodeCounts(head(c.encode(), cut)) })
	ranges := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Range { return Range{drawSecond(t), drawSecond(t)} }), 0, 4).Draw(t, "ranges")
	same(t, nil, append([]Range(nil), ranges...), decodeRanges(encodeRanges(ranges)))
	recorded := drawSecond(t)
	list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) named {
		return named{drawText(t, "id"), Proof(rapid.Byte().Draw(t, "proof")), drawSecond(t)}
	}), 0, 4).Draw(t, "inbox")
	at, back := decodeInbox(encodeInbox(recorded, list))
	same(t, nil, recorded, at)
	same(t, nil, append([]named(nil), list...), back)
}

func drawRecord(t *rapid.T) *record {
	r := &record{
		id: drawText(t, "id"), kind: drawText(t, "type"), created: drawSecond(t), createdText: drawText(t, "created_at"),
		status: rapid.SampledFrom([]Status{Settling, Listed, Missed, Replaying, Seen, Dead}).Draw(t, "status"), proof: Proof(rapid.Byte().Draw(t, "proof")),
		lane: Lane(rapid.Byte().Draw(t, "lane")), reason: Reason(drawText(t, "reason")), why: drawText(t, "why"),
		listed: drawMoment(t), at: drawMoment(t), due: drawMoment(t), walk: rapid.Uint64().Draw(t, "walk"), epoch: rapid.Uint64().Draw(t, "epoch"),
		twin: drawText(t, "twin"), manual: rapid.Bool().Draw(t, "manual"), entity: drawText(t, "entity"), sent: rapid.Int().Draw(t, "sent"),
		attempts: rapid.SliceOfN(rapid.Custom(drawAttempt), 0, 3).Draw(t, "attempts"), data: rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "data"),
		run: rapid.Uint64().Draw(t, "run"), acts: rapid.SliceOfN(rapid.Uint64(), 0, 3).Draw(t, "acts"),
	}
	copy(r.fact[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "fact"))
	return r
}

func drawAttempt(t *rapid.T) Attempt {
	return Attempt{
		At: drawMoment(t), Status: rapid.Int().Draw(t, "HTTP"), Error: drawText(t, "error"), Latency: time.Duration(rapid.Int64().Draw(t, "latency")),
		Counted: rapid.Bool().Draw(t, "counted"), Seq: rapid.Uint64().Draw(t, "seq"), Open: rapid.Bool().Draw(t, "open"),
		RetryAfter: time.Duration(rapid.Int64().Draw(t, "retry after")),
		Answer:     rapid.OneOf(rapid.SampledFrom([]string{"", "busy", "bad"}), rapid.Custom(func(t *rapid.T) string { return drawText(t, "body") })).Draw(t, "answer"),
		Note:       drawText(t, "note"),
	}
}

// drawText draws any bytes: texts are stored with their length.
func drawText(t *rapid.T, label string) string {
	return string(rapid.SliceOfN(rapid.Byte(), 0, 12).Draw(t, label))
}

// drawMoment draws a time of the years in which events are, or none.
func drawMoment(t *rapid.T) time.Time {
	if rapid.Bool().Draw(t, "no time") {
		return time.Time{}
	}
	year := func(y int) int64 { return time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano() }
	return time.Unix(0, rapid.Int64Range(year(2015), year(2200)).Draw(t, "moment")).UTC()
}

// drawSecond draws a time as it is stored in whole seconds.
func drawSecond(t *rapid.T) time.Time { return drawMoment(t).Truncate(time.Second) }

func head(b []byte, cut int) []byte { return b[:cut%(len(b)+1)] }

func same(t *rapid.T, err error, want, got any) {
	if err != nil {
		t.Fatal(err)
	}
	if a, b := reflect.ValueOf(want), reflect.ValueOf(got); !alike(a, b, equal) {
		t.Fatalf("%+v reads back as %+v", want, got)
	}
}

// shorter reads a payload that was cut somewhere.
func shorter[T any](t *rapid.T, whole T, read func(cut int) T) {
	cut := rapid.IntRange(0, 1<<16).Draw(t, "cut")
	if got := read(cut); !alike(reflect.ValueOf(whole), reflect.ValueOf(got), older) {
		t.Fatalf("cut at %d, %+v reads as %+v", cut, whole, got)
	}
}

// How two values may differ: not at all, or by what a shorter payload has not.
const (
	equal = false
	older = true
)

// alike compares field by field. A slice without elements is one, nil or not.
func alike(whole, got reflect.Value, shorter bool) bool {
	switch whole.Kind() {
	case reflect.Struct:
		if whole.Type() == reflect.TypeFor[time.Time]() {
			break
		}
		for i := range whole.NumField() {
			if !alike(whole.Field(i), got.Field(i), shorter) {
				return false
			}
		}
		return true
	case reflect.String:
		return whole.String() == got.String() || shorter && strings.HasPrefix(whole.String(), got.String())
	case reflect.Slice, reflect.Array:
		if got.Len() > whole.Len() || got.Len() < whole.Len() && !shorter {
			return false
		}
		for i := range got.Len() {
			if !alike(whole.Index(i), got.Index(i), shorter) {
				return false
			}
		}
		return true
	}
	return whole.Equal(got) || shorter && got.IsZero()
}
