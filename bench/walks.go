package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
)

// loopPages bounds the walk of the shell loop, which would take many minutes.
const loopPages = 200

// peer is a program that walks the listing.
type peer struct {
	name    string
	want    float64 // goal of backstop's speed over the peer's
	program string
	get     string // how to get the program
	args    func(url string) []string
}

func (b *bench) peers() []peer {
	in := func(name string) string { return filepath.Join(b.dir, name) }
	return []peer{
		{"Node", 1.5, "node", "nodejs", func(url string) []string { return []string{in("walk.mjs"), url, in("seen"), in("queue")} }},
		{"Python with sqlite3", 2.3, "python3", "python3", func(url string) []string { return []string{in("walk.py"), url, in("seen"), in("peer.sqlite")} }},
		{"a curl, jq and comm loop", 50, "bash", "bash", func(url string) []string {
			return []string{in("loop.sh"), url, in("seen"), b.dir, strconv.Itoa(loopPages)}
		}},
	}
}

// walks measures goals 1 and 2: the whole history, of which all but one in a
// hundred was seen. backstop is timed from its start to its end, judging
// included; the peers without their start and without loading what is seen.
func (b *bench) walks(ctx context.Context) error {
	l, err := serveListing(historyOf(b.o.events), 0, b.o.events, 0, false)
	if err != nil {
		return err
	}
	defer l.close()
	if err := b.importSeen(ctx, "imported", l.url, b.o.events); err != nil {
		return err
	}
	w := walkSamples{map[string][]float64{}, map[string][]float64{}}
	for range b.o.pairs {
		if err := b.walkRound(ctx, l, w); err != nil {
			return err
		}
	}
	b.tellWalks(w.speed)
	for _, name := range slices.Sorted(maps.Keys(w.cpu)) {
		b.rate("processor time of "+name, "s for 1M events", w.cpu[name])
	}
	return nil
}

// walkSamples are by program: events a second, and seconds of processor time
// for a million events, which tells more when others use the machine, too.
type walkSamples struct{ speed, cpu map[string][]float64 }

func (w walkSamples) add(name string, events int, seconds, cpu float64) {
	w.speed[name] = append(w.speed[name], float64(events)/seconds)
	w.cpu[name] = append(w.cpu[name], cpu*1e6/float64(events))
}

// importSeen makes a state that has been told of all events but one in a
// hundred: with a copy of it every walk begins.
func (b *bench) importSeen(ctx context.Context, name, url string, events int) error {
	if err := os.WriteFile(filepath.Join(b.dir, "seen"), seenIDs(events), 0o600); err != nil {
		return err
	}
	s, err := b.newSite(name, url, "")
	if err != nil {
		return err
	}
	r, err := timed(s.command(ctx, "seen", "import", filepath.Join(b.dir, "seen")))
	if name == "imported" {
		b.rate("seen import", "ids/s", []float64{float64(events-missing(events)) / r.seconds})
	}
	return err
}

// copyOf makes a site with a copy of the state of another.
func (b *bench) copyOf(other, name, url string) (site, error) {
	s, err := b.newSite(name, url, "")
	if err != nil {
		return s, err
	}
	for _, file := range []string{"backstop.db", "backstop.db.side"} {
		if err := copyFile(filepath.Join(b.dir, other, file), filepath.Join(s.dir, file)); err != nil {
			return s, err
		}
	}
	return s, nil
}

// walkRound runs each program once.
func (b *bench) walkRound(ctx context.Context, l *listing, w walkSamples) error {
	dropped, err := peerWalk(exec.CommandContext(ctx, b.self, "drop", l.url))
	if err != nil {
		return err
	}
	w.add("drop", dropped.Events, dropped.Seconds, dropped.cpu)
	s, err := b.copyOf("imported", "walk", l.url)
	if err != nil {
		return err
	}
	r, err := b.reconcile(ctx, s)
	if err != nil {
		return err
	}
	b.curve, b.took = r.memory, r.seconds
	w.add("backstop", b.o.events, r.seconds, r.cpu)
	b.say("  %.0f events/s, of %.0f fetched and dropped: %.2f", float64(b.o.events)/r.seconds, float64(dropped.Events)/dropped.Seconds,
		float64(b.o.events)/r.seconds/(float64(dropped.Events)/dropped.Seconds))
	if !b.o.wants(2) {
		return nil
	}
	return b.peerRound(ctx, l, w)
}

// reconcile walks and checks what came of it.
func (b *bench) reconcile(ctx context.Context, s site) (ran, error) {
	r, err := timed(s.command(ctx, "reconcile", "--json"), 5) // 5: something is missed
	if err != nil {
		return r, err
	}
	var result struct {
		Pass struct {
			Listed int `json:"listed"`
			Seen   int `json:"seen"`
		} `json:"pass"`
		Missed int `json:"missed"`
	}
	if err := json.Unmarshal(r.out, &result); err != nil {
		return r, fmt.Errorf("read what reconcile printed: %w", err)
	}
	if result.Pass.Listed != b.o.events || result.Missed != missing(b.o.events) {
		return r, fmt.Errorf("reconcile listed %d events and missed %d, want %d and %d", result.Pass.Listed, result.Missed, b.o.events, missing(b.o.events))
	}
	return r, nil
}

// peerRound runs each peer that there is.
func (b *bench) peerRound(ctx context.Context, l *listing, w walkSamples) error {
	for _, p := range b.peers() {
		if _, err := exec.LookPath(p.program); err != nil {
			continue
		}
		_ = os.Remove(filepath.Join(b.dir, "peer.sqlite")) // a missing one is fine
		did, err := peerWalk(exec.CommandContext(ctx, p.program, p.args(l.url)...))
		if err != nil {
			return err
		}
		if did.Missing != missing(did.Events) {
			return fmt.Errorf("%s: %d of %d events are missing, want %d", p.name, did.Missing, did.Events, missing(did.Events))
		}
		w.add(p.name, did.Events, did.Seconds, did.cpu)
		b.say("  %s: %.0f events/s", p.name, float64(did.Events)/did.Seconds)
	}
	return nil
}

// peerWalk runs a peer and reads what it printed.
func peerWalk(cmd *exec.Cmd) (walked, error) {
	r, err := timed(cmd)
	if err != nil {
		return walked{}, err
	}
	w := walked{cpu: r.cpu}
	if err := json.Unmarshal(r.out, &w); err != nil {
		return w, fmt.Errorf("read what %s printed: %w", cmd.Path, err)
	}
	if w.Seconds <= 0 {
		return w, errors.New("a walk that took no time: give it more -events")
	}
	return w, nil
}

func (b *bench) tellWalks(speed map[string][]float64) {
	b.add(atLeast("1", fmt.Sprintf("reconcile %d events, 1 %% missing, against fetching and dropping them", b.o.events), 0.40, "×",
		ratios(speed["backstop"], speed["drop"])))
	b.rate("fetch and drop", "events/s", speed["drop"])
	b.rate("reconcile", "events/s", speed["backstop"])
	if !b.o.wants(2) {
		return
	}
	for _, p := range b.peers() {
		what := "the same walk against " + p.name
		if _, err := exec.LookPath(p.program); err != nil {
			b.add(skipped("2", what, p.program+" is missing: apt-get install "+p.get))
			continue
		}
		b.add(atLeast("2", what, p.want, "×", ratios(speed["backstop"], speed[p.name])))
		b.rate(p.name, "events/s", speed[p.name])
	}
}
