package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"backstop/internal/heygen"
	"backstop/state"
)

const startsLeast = 5

// large is a state that holds very many finished events.
type large struct {
	path    string
	history history
	events  int
}

// buildLarge makes the large state, or takes the one that -dir has kept.
func (b *bench) buildLarge() (large, error) {
	l := large{path: filepath.Join(b.dir, "large.db"), history: historyOf(b.o.held), events: b.o.held}
	if info, err := os.Stat(l.path + ".done"); err == nil {
		if text, err := os.ReadFile(l.path + ".done"); err == nil && string(text) == fmt.Sprint(b.o.held) && time.Since(info.ModTime()) < 12*time.Hour {
			l.history.begin = info.ModTime().Add(-span - time.Hour).Truncate(time.Second)
			return l, nil
		}
	}
	b.say("  building a state of %d ids", b.o.held)
	if err := errors.Join(os.RemoveAll(l.path), os.RemoveAll(l.path+".side")); err != nil {
		return l, err
	}
	if err := l.fill(); err != nil {
		return l, err
	}
	done := l.path + ".done"
	at := l.history.begin.Add(span + time.Hour)
	return l, errors.Join(os.WriteFile(done, fmt.Append(nil, b.o.held), 0o600), os.Chtimes(done, at, at))
}

func (l large) options(path string, retention time.Duration) state.Options {
	return state.Options{Path: path, MaxSize: 64 << 30, Retention: retention}
}

// fill lists the history as polls of many days would have: oldest first, and all
// of it older than the baseline.
func (l large) fill() (err error) {
	s, err := state.Open(l.options(l.path, 365*24*time.Hour))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if _, err := s.SetBaseline(time.Now()); err != nil {
		return err
	}
	const each = 10_000
	for from := 0; from < l.events; from += each {
		events := l.history.events(from, min(l.events, from+each))
		if _, err := s.CommitPages(state.Pages{Events: events, Now: events[0].CreatedAt}); err != nil {
			return err
		}
	}
	return s.FinishWalk(l.history.walked(l.events - 1))
}

// events are those from number first up to but not last, newest first, with no
// more data than what names the video.
func (h history) events(first, last int) []heygen.Event {
	events := make([]heygen.Event, 0, last-first)
	for n := last - 1; n >= first; n-- {
		created := h.created(n)
		events = append(events, heygen.Event{
			ID: eventID(n), Type: eventType(n), Data: fmt.Appendf(nil, `{"video_id":"%s"}`, hash("video", n)[:32]),
			CreatedAt: created, Created: created.Format(time.RFC3339),
		})
	}
	return events
}

// walked is the end of a complete walk down from event n.
func (h history) walked(n int) state.WalkEnd {
	at := h.created(n)
	return state.WalkEnd{Kind: state.Poll, Now: at, Complete: true, Mark: at, From: h.begin, To: at, Start: at}
}

// largeState measures goals 3, 4, 5 and 9 where they need the large state.
func (b *bench) largeState(ctx context.Context) error {
	l, err := b.buildLarge()
	if err != nil {
		return err
	}
	var errs []error
	for _, part := range []struct {
		goal    int
		measure func(context.Context, large) error
	}{{3, b.bytesPerID}, {4, b.memoryOfMany}, {5, b.starts}, {9, b.dropDays}} {
		if b.o.wants(part.goal) {
			errs = append(errs, part.measure(ctx, l))
		}
	}
	return errors.Join(errs...)
}

// copyLarge gives a copy of the large state to change, in a site of its own.
func (b *bench) copyLarge(l large, name, listing, more string) (site, error) {
	s, err := b.newSite(name, listing, more)
	if err != nil {
		return s, err
	}
	return s, errors.Join(copyFile(l.path, s.state()), copyFile(l.path+".side", s.state()+".side"))
}

// bytesPerID reports ids and lists them, a thousand in a transaction, and counts
// what this process writes meanwhile.
func (b *bench) bytesPerID(_ context.Context, l large) (err error) {
	site, err := b.copyLarge(l, "bytes", "http://127.0.0.1:9", "")
	if err != nil {
		return err
	}
	s, err := state.OpenExisting(l.options(site.state(), 365*24*time.Hour))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close(), os.RemoveAll(site.dir)) }()
	var listed, both []float64
	for round := range b.o.pairs {
		inbox, ledger, err := l.record(s, l.events+round*20_000, 20, 1000)
		if err != nil {
			return err
		}
		listed, both = append(listed, ledger), append(both, inbox+ledger)
	}
	what := fmt.Sprintf("bytes written for a seen id, 1,000 a transaction, %d held: ", b.o.held)
	b.add(atMost("3", what+"into the ledger", 150, "", listed), figure{Goal: "3", What: what + "reported, then into the ledger", Samples: both})
	return nil
}

// record has ids reported and listed, and gives the bytes written for each.
func (l large) record(s *state.Store, from, transactions, each int) (inbox, ledger float64, err error) {
	for i := range transactions {
		first := from + i*each
		now := l.history.created(first + each)
		seen := make([]state.Sighting, each)
		for n := range seen {
			seen[n] = state.Sighting{ID: eventID(first + n), Proof: state.Report, At: now}
		}
		bytes, err := written(func() error { _, err := s.Record(now, seen); return err })
		if err != nil {
			return 0, 0, err
		}
		inbox += bytes
		bytes, err = written(func() error {
			_, err := s.CommitPages(state.Pages{Events: l.history.events(first, first+each), Now: now})
			return err
		})
		if err != nil {
			return 0, 0, err
		}
		ledger += bytes
	}
	count := float64(transactions * each)
	return inbox / count, ledger / count, nil
}

// written counts the bytes that this process writes while do runs.
func written(do func() error) (float64, error) {
	before, err := procFields("/proc/self/io")
	if err != nil {
		return 0, err
	}
	if err := do(); err != nil {
		return 0, err
	}
	after, err := procFields("/proc/self/io")
	return after["wchar"] - before["wchar"], err
}

// starts measures how long the daemon takes from its start until it is ready.
func (b *bench) starts(ctx context.Context, l large) error {
	list, err := serveListing(l.history, l.events-1000, l.events, 0, false)
	if err != nil {
		return err
	}
	defer list.close()
	admin, err := freeAddress()
	if err != nil {
		return err
	}
	s, err := b.copyLarge(l, "starts", list.url, fmt.Sprintf("admin: {listen: %q}\n", admin))
	if err != nil {
		return err
	}
	defer os.RemoveAll(s.dir)
	var times []float64
	for range max(b.o.pairs, startsLeast) {
		d, err := s.start(ctx, admin)
		if err != nil {
			return err
		}
		times = append(times, d.ready.Seconds()*1000)
		if err := d.stop(); err != nil {
			return err
		}
	}
	b.add(atMost("5", fmt.Sprintf("start to ready with %d ids", l.events), 250, "ms", times))
	return nil
}

// dropDays drops days of the large state, one after the other.
func (b *bench) dropDays(ctx context.Context, l large) (err error) {
	site, err := b.copyLarge(l, "drops", "http://127.0.0.1:9", "")
	if err != nil {
		return err
	}
	const retention = 25 * 24 * time.Hour
	s, err := state.OpenExisting(l.options(site.state(), retention))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close(), os.RemoveAll(site.dir)) }()
	now := l.history.created(l.events)
	var times []float64
	for range 5 {
		begun := time.Now()
		days, err := s.Prune(now)
		if err != nil {
			return err
		}
		if days != 1 {
			return fmt.Errorf("pruning dropped %d days, want 1", days)
		}
		times = append(times, time.Since(begun).Seconds()*1000)
	}
	b.add(atMost("9", fmt.Sprintf("dropping one of 30 days of %d ids", l.events), 100, "ms", times[1:]))
	return b.fileGrowth(ctx)
}
