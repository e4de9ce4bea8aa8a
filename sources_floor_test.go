package main_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"backstop/internal/heygen"
	"backstop/internal/receiver"
	"backstop/internal/simulate"
	"backstop/state"
)

// floorSite has a state whose older records are pruned.
const floorSite = `
heygen: {base_url: LISTING, api_key: key, rate: 0}
receiver: {url: "RECEIVER/hook"}
seen: [SOURCE]
replay: {rate: 0}
state: {path: DIR/backstop.db, retention: 5d}
control: DIR/control.sock
admin: {listen: ""}
`

// Below the floor nothing is known any more. With a source that can be asked no force is needed: what the receiver has
// is not sent, the rest is.
func TestBackfillBelowTheFloorAsksTheSource(t *testing.T) {
	world := simulate.New(simulate.Options{Seed: 1})
	var ids []string
	for _, video := range []string{"vid_had", "vid_lost"} {
		e, err := world.Create(simulate.Recipe{
			Type: "avatar_video.success", Data: []byte(`{"video_id":"` + video + `"}`), Created: time.Now().Add(-9 * 24 * time.Hour), Push: simulate.NoPush,
		})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, e.ID)
	}
	judge := receiver.New(receiver.Options{})
	hook, listing := serve(t, judge.Handler()), serve(t, world.Handler())
	config := strings.NewReplacer("LISTING", listing, "RECEIVER", hook).Replace(floorSite)
	s := newSite(t, build(t), strings.Replace(config, "SOURCE", "{report: {}}", 1))
	s.pruned(listing)
	if out, code := s.run("", "backfill", "--since", "12d", "--yes"); code != 2 {
		t.Errorf("without anybody to ask: exit %d, want 2\n%s", code, out)
	}

	asking := strings.Replace(config, "SOURCE", `{command: {argv: [sh, -c, "grep -Fxf - DIR/ids || [ $? -eq 1 ]"]}}`, 1)
	for name, text := range map[string]string{"config.yaml": strings.ReplaceAll(asking, "DIR", s.dir), "ids": ids[0] + "\n"} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, more := range []string{"--dry-run", "--yes"} {
		out := s.must("", "backfill", "--since", "12d", more)
		if !strings.Contains(out, "1 seen, 1 missed, 0 in hand already, 0 ignored") {
			t.Errorf("%s says\n%s", more, out)
		}
	}
	log := judge.Log()
	if len(log) != 1 || log[0].ID != ids[1] || log[0].Reason != "backfill" || log[0].Status != http.StatusOK {
		t.Errorf("the receiver got %+v, want the one that it did not have", log)
	}
}

// pruned makes a state that drops a record of a week ago.
func (s *site) pruned(listing string) {
	s.t.Helper()
	now := time.Now()
	then := now.Add(-7 * 24 * time.Hour)
	store, err := state.Open(state.Options{Path: s.statePath(), APIBase: listing, Retention: 5 * 24 * time.Hour})
	if err != nil {
		s.t.Fatal(err)
	}
	do := func(what string, err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatalf("%s: %v", what, err)
		}
	}
	old := heygen.Event{ID: "evt_pruned", Type: "avatar_video.success", CreatedAt: then, Created: then.UTC().Format(time.RFC3339), Data: []byte(`{}`)}
	_, err = store.SetBaseline(then.Add(-time.Hour))
	do("baseline", err)
	_, err = store.Record(then, []state.Sighting{{ID: old.ID, Proof: state.Report}})
	do("record", err)
	_, err = store.CommitPages(state.Pages{Kind: state.Poll, Events: []heygen.Event{old}, Now: then})
	do("commit", err)
	do("walk", store.FinishWalk(state.WalkEnd{Complete: true, Mark: now.Add(-time.Hour), Start: now, To: now}))
	for range 20 {
		_, err = store.Prune(now)
		do("prune", err)
	}
	if floor := store.Floor(); !floor.After(then) {
		s.t.Fatalf("the floor is %s, want it above %s", floor, then)
	}
	do("close", store.Close())
}
