package main_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"backstop/internal/receiver"
	"backstop/internal/simulate"
)

// nginxSite reads the access log of nginx.
const nginxSite = `
heygen: {base_url: LISTING, api_key: key, rate: 0}
receiver: {url: "RECEIVER/hook", secret: whsec_nginx_77}
schedule: {poll: "@every 1s", sweep: "@every 1h"}
reconcile: {settle: 2s, start: 2020-01-01}
seen:
  - log: {path: "NGINX/heygen.log", event_id: $.event_id, status: $.status, received_at: $.received_at}
replay: {rate: 0}
state: {path: DIR/backstop.db}
control: DIR/control.sock
admin: {listen: ""}
`

// explained is what explain --json says of an event.
type explained struct {
	Status, Proof string
}

func (s *site) explain(id string) (e explained) {
	s.t.Helper()
	out, _ := s.run("", "explain", id, "--json") // it is not known before it is listed
	_ = json.Unmarshal([]byte(out), &e)
	return e
}

func (s *site) untilProof(id, proof string) {
	s.t.Helper()
	until(s.t, time.Minute, id+" has the proof "+proof, func() bool {
		e := s.explain(id)
		return e.Status == "seen" && e.Proof == proof
	})
}

// startWorld runs a HeyGen that pushes each event once. make creates an event of a video.
func startWorld(t *testing.T, o simulate.Options) (listing string, make func(video string, push simulate.Fate) (id string)) {
	t.Helper()
	o.Seed, o.Tries = 1, 1
	world := simulate.New(o)
	var running sync.WaitGroup
	running.Go(func() { _ = world.Run(t.Context()) }) // it ends with the test
	t.Cleanup(running.Wait)
	return serve(t, world.Handler()), func(video string, push simulate.Fate) string {
		t.Helper()
		e, err := world.Create(simulate.Recipe{Type: "avatar_video.success", Data: []byte(`{"video_id":"` + video + `"}`), Push: push})
		if err != nil {
			t.Fatal(err)
		}
		return e.ID
	}
}

// HeyGen pushes to a real nginx, the daemon reads its log: what the receiver refused, or never got, is replayed, and
// nothing else.
func TestDaemonReadsTheLogOfNginx(t *testing.T) {
	const secret = "whsec_nginx_77"
	judge := receiver.New(receiver.Options{Secrets: []string{secret}, Answer: func(d receiver.Delivery, _ int) int {
		switch {
		case d.Replay:
			return http.StatusOK
		case d.Entity == "vid_500":
			return http.StatusInternalServerError
		case d.Entity == "vid_502":
			return http.StatusBadGateway
		}
		return http.StatusAccepted
	}})
	back := serve(t, judge.Handler())
	n := startNginx(t, strings.TrimPrefix(back, "http://"))
	listing, create := startWorld(t, simulate.Options{PushURL: "http://" + n.address + "/hook", Secret: secret})
	s := newSite(t, build(t), strings.NewReplacer("LISTING", listing, "RECEIVER", back, "NGINX", n.dir).Replace(nginxSite))
	create("vid_0", simulate.Prompt)
	n.waitForLines("heygen.log", 1)
	daemon := s.start(nil, "run")

	proofs := map[string]string{}
	for _, video := range []string{"vid_1", "vid_2", "vid_3", "vid_4"} {
		proofs[create(video, simulate.Prompt)] = "log"
	}
	proofs[create("vid_500", simulate.Prompt)] = "replay"
	proofs[create("vid_502", simulate.Prompt)] = "replay"
	proofs[create("vid_lost", simulate.NeverSent)] = "replay"
	for id, proof := range proofs {
		s.untilProof(id, proof)
	}
	if code := daemon.stop(); code != 0 {
		t.Errorf("exit %d\n%s", code, s.said.tail())
	}
	replayed := map[string]int{}
	for _, d := range judge.Log() {
		if d.Replay {
			replayed[d.ID]++
		}
	}
	for id, proof := range proofs {
		if want := map[string]int{"replay": 1}[proof]; replayed[id] != want {
			t.Errorf("%s, whose proof is %s, was sent %d times", id, proof, replayed[id])
		}
	}
	if len(replayed) != 3 {
		t.Errorf("%d events were sent, want 3", len(replayed))
	}
}
