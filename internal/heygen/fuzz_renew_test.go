package heygen

import (
	"bytes"
	"slices"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// FuzzRenew: whatever event_data is, and whatever HeyGen answers, nothing
// changes but strings that were links and are one of the fresh ones now; JSON
// stays JSON; and the event stays the same fact about the same entity.
func FuzzRenew(f *testing.F) {
	h := "https://f.heygen.ai"
	for _, seed := range []string{
		`{"video_id":"v","url":"` + h + `/v.mp4` + gone + `","gif_url":"` + h + `/o.gif` + gone + `"}`,
		`{ "video_id" : "v" , "url":"https:\/\/f.heygen.ai\/v.mp4?Expires=1774440000" ,"url":null}`,
		`{"id":"j","clips":[{"video_url":"` + h + `/1.mp4` + gone + `"},{"video_url":"` + h + `/v.mp4` + soon + `"},[]],"clips":[]}`,
		"{\"id\":\"\xff\",\"url\":\"\\u0068ttps://f/\xfe?Expires=1774440000\"}",
		`{"id":"` + h + `/v.mp4` + gone + `","x":{"url":"` + h + `/v.mp4?a&X-Amz-Date=20260301T000000Z&X-Amz-Expires=1"}}`,
		`["` + h + `/v.mp4` + gone + `"]`, `{"url":"https://\ud800/v.mp4?Expires=1774440000"}`, `{"clips":[["` + h + `/v.mp4` + gone + `"]]}`,
	} {
		f.Add("avatar_video.success", []byte(seed), h+"/v.mp4"+good, h+"/1.mp4"+good)
	}
	f.Add("x", []byte(`{"video_id":"v","url":"`+h+`/v.mp4`+gone+`"}`), "ftp://f/v.mp4", "https://f/\"<&>\u2028\xff")
	f.Fuzz(func(t *testing.T, typ string, data []byte, one, two string) {
		fresh := Fresh{Clips: 3, Links: []Link{
			{"video_url", 0, one}, {"gif_url", 0, two}, {"video_url", 1, two}, {"video_url", 2, one},
		}}
		before := bytes.Clone(data)
		got, did := Renew(data, fresh, april())
		if !bytes.Equal(data, before) {
			t.Fatal("what was given was changed")
		}
		if renewed := len(did.ByName) + len(did.ByPath); (renewed == 0) != bytes.Equal(got, data) {
			t.Errorf("%d links renewed\nof %q\nto %q", renewed, data, got)
		}
		sameButLinks(t, data, got, one, two)
		then, is := Event{Type: typ, Data: data}, Event{Type: typ, Data: got}
		fact, ok := then.Fact()
		if now, still := is.Fact(); fact != now || ok != still || then.Entity() != is.Entity() {
			t.Errorf("another fact\nof %q\nthan of %q", got, data)
		}
	})
}

// sameButLinks compares token by token, with what stands between them. It reads
// JSON by the library, as Renew does not.
func sameButLinks(t *testing.T, before, after []byte, fresh ...string) {
	was, ok := tokens(before)
	is, still := tokens(after)
	if ok != still || len(was) != len(is) {
		t.Fatalf("%q\nhas another form than\n%q", after, before)
	}
	if !ok && !bytes.Equal(before, after) {
		t.Fatalf("what is no JSON was changed: %q\nto %q", before, after)
	}
	for i := range was {
		if bytes.Equal(was[i], is[i]) {
			continue
		}
		from, to := bytes.IndexByte(was[i], '"'), bytes.IndexByte(is[i], '"')
		if from < 0 || to < 0 || !bytes.Equal(was[i][:from], is[i][:to]) {
			t.Fatalf("%q became %q, which is more than a string", was[i], is[i])
		}
		old, _ := jsontext.AppendUnquote(nil, was[i][from:])
		now, err := jsontext.AppendUnquote(nil, is[i][to:])
		if err != nil || !absolute(old) || !slices.Contains(fresh, string(now)) {
			t.Fatalf("%q became %q", old, now)
		}
	}
}

// tokens cuts JSON into its tokens, each with what stands before it; false when
// it is none.
func tokens(data []byte) (cut [][]byte, ok bool) {
	d := jsontext.NewDecoder(bytes.NewReader(data), looseJSON()...)
	for from := 0; ; {
		if _, err := d.ReadToken(); err != nil {
			return append(cut, data[from:]), jsontext.Value(data).IsValid(looseJSON()...)
		}
		to := int(d.InputOffset())
		cut = append(cut, data[from:to])
		from = to
	}
}
