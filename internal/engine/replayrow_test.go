package engine

import (
	"encoding/json"
	"testing"
)

func TestOnlyAnEventIsSaidToBeQueued(t *testing.T) {
	for _, one := range []struct {
		row  ReplayRow
		want string
	}{
		{ReplayRow{ID: "evt_1", Status: "seen"}, `{"event_id":"evt_1","status":"seen","queued":false}`},
		{ReplayRow{ID: "evt_1", Status: "dead", Queued: true, Note: "a & b"}, `{"event_id":"evt_1","status":"dead","queued":true,"note":"a \u0026 b"}`},
		{ReplayRow{Progress: &BackfillProgress{Phase: "send"}}, `{"progress":{"phase":"send","share":0,"rate":0,"eta_seconds":0}}`},
	} {
		got, err := json.Marshal(one.row)
		if err != nil || string(got) != one.want {
			t.Errorf("%s, %v, want %s", got, err, one.want)
		}
	}
}
