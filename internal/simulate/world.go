package simulate

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Options describe a world. The zero value is an empty, calm one without an endpoint.
type Options struct {
	Seed   uint64
	Events int           // that happened before the world began; they were never pushed
	Span   time.Duration // those are spread over it; 0: one day
	Start  time.Time     // when the world begins and history ends; zero: now

	Rate  float64 // new events a second while Run runs; 0: none but those of Create
	Stop  int     // Run makes no more than so many; 0: no end
	Types []string
	Twins float64 // share of new events listed a second time under another id, which is never pushed

	LinkLife time.Duration // of the links in events, from created_at on; 0: seven days; negative: they expired before

	PushURL string // "": no endpoint, nothing is pushed or lost
	Secret  string // "": pushes are not signed
	Legacy  bool   // pushes carry Signature alone: no timestamp, no event id

	Lost, Late, Doubled float64       // shares of pushes; lost ones are neither late nor doubled
	LateBy              time.Duration // 0: ten seconds
	Timeout             time.Duration // for the receiver's answer; 0: ten seconds
	Tries               int           // of one push until it is given up; 0: six
	RetryMin            time.Duration // before the second try, doubled for each further one; 0: one second

	APIKey    string        // required of every request when set, as X-Api-Key or Bearer
	ClockSkew time.Duration // of HeyGen's clock against ours
	Faults    Faults

	Transport http.RoundTripper // for pushes; nil: an own one
	Logger    *slog.Logger      // nil: silent
}

// Validate names the first option that makes no sense.
func (o Options) Validate() error {
	for name, share := range map[string]float64{"lost": o.Lost, "late": o.Late, "doubled": o.Doubled, "twins": o.Twins} {
		if err := validShare(name, share); err != nil {
			return err
		}
	}
	if o.Lost+o.Late+o.Doubled > 1 {
		return errors.New("lost, late and doubled together are more than every push; give shares that add up to 1 at most")
	}
	if o.Events < 0 || o.Stop < 0 || o.Tries < 0 || !(o.Rate >= 0 && o.Rate <= 1e6) {
		return errors.New("events, stop, tries and rate: give numbers that are not negative")
	}
	if o.Span < 0 || o.LateBy < 0 || o.Timeout < 0 || o.RetryMin < 0 {
		return errors.New("span, late-by, timeout and retry: give times that are not negative")
	}
	if o.PushURL != "" {
		if u, err := url.Parse(o.PushURL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return errors.New("push: not an http or https URL")
		}
	}
	return o.Faults.Validate()
}

// World is everything the stand-in knows. Its methods may be called from anywhere at once.
type World struct {
	o      Options
	key    []byte // of the cursors' MAC
	kinds  []kind // that new and historic events have
	weight int    // sum over kinds
	follow bool   // the types that follow a video are among kinds
	log    *slog.Logger
	client *http.Client
	wake   chan struct{} // a push was queued or answered

	mu       sync.Mutex
	faults   Faults
	ends     []Endpoint          // what the list of endpoints shows
	fresh    []record            // events made since the world began, by position
	named    map[string][]uint64 // positions of events whose entity a caller chose
	twins    map[uint64][]uint64 // positions of twins by the owner of their entity
	types    map[string]bool     // every type that the filter accepts
	shuffled []uint64            // all positions in the shuffled order; nil until asked for
	counted  map[string]int      // history by type; nil until asked for
	queue    []push              // pushes to come, the next one first
	flying   int                 // pushes on their way
	made     int                 // events made by Run
	tally    tally
}

// record is one event made since the world began. Only mutable fields need the lock once it
// is in the world.
type record struct {
	kind      kind
	owner     uint64 // the position whose entity it bears
	source    uint64 // the position whose draws its event_data is made from; another's for a twin
	entity    string // chosen by a caller; "" follows from owner
	data      []byte // chosen by a caller; nil follows from the seed
	created   time.Time
	listed    time.Time // in the listing from then on
	fate      Fate
	delivered time.Time // first 2xx, zero: none
}

// New makes a world. Its options must be valid: the verb and its tests call Validate first; New
// takes what Validate refuses as the nearest thing that works.
func New(o Options) *World {
	if o.Start.IsZero() {
		o.Start = time.Now().Add(o.ClockSkew)
	}
	o.Start = o.Start.UTC()
	o.Span = or(o.Span, 24*time.Hour)
	o.Events = max(0, o.Events)
	w := &World{
		o: o, key: cursorKey(o.Seed), kinds: kindsFor(o.Types), log: o.Logger, faults: o.Faults,
		client: pushClient(o), wake: make(chan struct{}, 1),
		named: map[string][]uint64{}, twins: map[uint64][]uint64{}, types: map[string]bool{}, tally: newTally(),
	}
	if o.PushURL != "" {
		w.ends = []Endpoint{{URL: o.PushURL}}
	}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	for _, k := range w.kinds {
		w.weight += k.weight
		w.types[k.name] = true
	}
	for _, k := range catalogue() {
		w.types[k.name] = true
	}
	w.follow = slices.ContainsFunc(w.kinds, func(k kind) bool { return k.name == gifType }) &&
		slices.ContainsFunc(w.kinds, func(k kind) bool { return k.name == captionType })
	return w
}

func cursorKey(seed uint64) []byte {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("cursor"), seed))
	return sum[:]
}

// now is HeyGen's clock.
func (w *World) now() time.Time { return time.Now().UTC().Add(w.o.ClockSkew) }

// Faults returns the faults in force.
func (w *World) Faults() Faults {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.faults
}

// SetFaults changes the faults for the answers and events to come.
func (w *World) SetFaults(f Faults) error {
	if err := f.Validate(); err != nil {
		return fmt.Errorf("set faults: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = f
	return nil
}
