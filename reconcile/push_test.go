package reconcile

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"backstop/internal/heygen"
	"backstop/state"
)

func TestPush(t *testing.T) {
	const kind, data = "avatar_video.success", `{"video_id":"vid_1","url":"https://files.example/v.mp4?Expires=1"}`
	fact, ok := heygen.FactOf(kind, []byte(data))
	if !ok {
		t.Fatal("the event of the test has no content key")
	}
	twice, ok := heygen.FactOf(kind, []byte(`{"video_id":"vid_1","video_id":"vid_2"}`))
	if !ok {
		t.Fatal("duplicate names inside event_data have no content key")
	}
	plain := `{"event_type":"` + kind + `","event_data":` + data + `}`
	tests := []struct {
		name, header, body string
		id                 string
		fact               heygen.Fact
	}{
		{"as documented", "evt_1", plain, "evt_1", fact},
		{"without an id", "", plain, "", fact},
		{"keys in another order, white space, more keys", "", " {\"a\":[1], \"event_data\": " + data + ",\n\"event_type\":\"" + kind + "\"}\n", "", fact},
		{"an escaped type", "", `{"event_type":"avatar\u005fvideo.success","event_data":` + data + `}`, "", fact},
		{"another link", "", strings.Replace(plain, "Expires=1", "Expires=2", 1), "", fact},
		{"duplicate names inside event_data", "", `{"event_type":"` + kind + `","event_data":{"video_id":"vid_1","video_id":"vid_2"}}`, "", twice},
		{"bytes that are no UTF-8", "evt_1", "{\"event_type\":\"" + kind + "\",\"event_data\":" + data + ",\"x\":\"\xff\"}", "evt_1", fact},

		{"an id in the body", "", `{"event_id":"evt_2","event_type":"` + kind + `","event_data":` + data + `}`, "evt_2", fact},
		{"two ids", "evt_1", `{"event_id":"evt_2"}`, "evt_1", heygen.Fact{}},
		{"an id in the body that is none", "", `{"event_id":"évt","event_type":"` + kind + `","event_data":` + data + `}`, "", fact},
		{"an id in the body that is no string", "", `{"event_id":7,"event_type":"` + kind + `","event_data":` + data + `}`, "", fact},
		{"an id that is null", "", `{"event_id":null,"event_type":"` + kind + `","event_data":` + data + `}`, "", fact},
		{"a header that is no id", "a\tb", `{"event_id":"evt_2"}`, "evt_2", heygen.Fact{}},
		{"a header that is too long", strings.Repeat("x", 513), plain, "", fact},

		{"no body", "evt_1", "", "evt_1", heygen.Fact{}},
		{"a body that is no JSON", "evt_1", "a=b", "evt_1", heygen.Fact{}},
		{"a body that breaks off", "evt_1", plain[:len(plain)-1], "evt_1", heygen.Fact{}},
		{"something behind the object", "evt_1", plain + "1", "evt_1", heygen.Fact{}},
		{"two objects", "evt_1", plain + plain, "evt_1", heygen.Fact{}},
		{"an array", "evt_1", "[" + plain + "]", "evt_1", heygen.Fact{}},
		{"a type twice", "evt_1", `{"event_type":"a","event_type":"` + kind + `","event_data":` + data + `}`, "evt_1", heygen.Fact{}},
		{"data twice", "evt_1", `{"event_data":null,"event_type":"` + kind + `","event_data":` + data + `}`, "evt_1", heygen.Fact{}},
		{"a type that is no string", "evt_1", `{"event_type":1,"event_data":` + data + `}`, "evt_1", heygen.Fact{}},
		{"an empty type", "evt_1", `{"event_type":"","event_data":` + data + `}`, "evt_1", heygen.Fact{}},
		{"no data", "evt_1", `{"event_type":"` + kind + `"}`, "evt_1", heygen.Fact{}},
		{"data without an entity", "evt_1", `{"event_type":"` + kind + `","event_data":{"a":1}}`, "evt_1", heygen.Fact{}},

		{"nothing", "", "", "", heygen.Fact{}},
		{"nothing that can be matched", "", `{"event_type":"` + kind + `","event_data":{"a":1}}`, "", heygen.Fact{}},
		{"an id twice", "", `{"event_id":"evt_1","event_id":"evt_2"}`, "", heygen.Fact{}},
	}
	now := time.Date(2026, 3, 25, 12, 0, 0, 0, time.UTC)
	for _, tt := range tests {
		h := http.Header{}
		if tt.header != "" {
			h.Set("Heygen-Event-Id", tt.header)
		}
		got, ok := Push(h, []byte(tt.body), state.Tap, now)
		want := state.Sighting{ID: tt.id, Fact: tt.fact, At: now, Proof: state.Tap}
		if got != want || ok != (tt.id != "" || !tt.fact.IsZero()) {
			t.Errorf("%s: %+v, %v; want %+v", tt.name, got, ok, want)
		}
	}
}
