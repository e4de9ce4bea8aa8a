package state

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// formatVersion is the version of the format drawn in doc.go.
const formatVersion = 1

// The keys of the bucket meta.
const (
	metaFormat     = "format"     // 4 bytes
	metaUUID       = "uuid"       // text: which state this is, through all its copies
	metaCreated    = "created"    // time
	metaGeneration = "generation" // 8 bytes: commits since creation ‖ time of the last one
	metaBase       = "base"       // text: the API the events come from; missing until it is known
	metaBaseline   = "baseline"   // time; missing until the first run
	metaFloor      = "floor"      // time; missing until something was pruned
	metaPaired     = "paired"     // time when it was first known what the receiver has ‖ bits 2 of the proofs since; missing until then
	metaReceiver   = "receiver"   // JSON of Receiver
	metaCounts     = "counts"     // counts.encode
	metaNotices    = "notices"    // JSON of Notices; missing while nobody is told
	metaRestored   = "restored"   // from 8 ‖ to 8, unix nanoseconds: the time that the last restore lost; missing until there was one
)

// settings is the memory of meta, as of the last commit.
type settings struct {
	uuid     string
	created  time.Time
	base     string
	baseline time.Time
	begun    bool // there was a first run: the baseline is set, be it the very beginning
	floor    time.Time
	paired   bool
	spoken   uint16 // bit n: proof n has spoken
	receiver Receiver
	counts   counts
	commit   time.Time // the last one; zero: a file from before it was noted
	notices  *Notices  // shared, never changed; nil: nobody is told
	lost     Range     // the time that the last restore lost; zero: there was none
}

// Baseline returns the baseline, and false while there is none. A zero baseline is the very beginning: every event is judged.
func (s *Store) Baseline() (time.Time, bool) {
	m := s.settings()
	return m.baseline, m.begun
}

// SetBaseline sets the baseline where there is none and returns the one that holds. It is rounded down to the second, so
// that the second of the first run is judged.
func (s *Store) SetBaseline(at time.Time) (time.Time, error) {
	err := s.update(false, func(t *tx) error {
		if _, ok, err := t.get(t.bucket(bucketMeta), []byte(metaBaseline)); ok || err != nil {
			return err
		}
		at := at.UTC().Truncate(time.Second) // the zero time stays what it is
		t.after(func() { s.change(func(m *settings) { m.baseline, m.begun = at, true }) })
		return t.putMeta(metaBaseline, appendTime(nil, at))
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("set the baseline: %w", err)
	}
	return s.settings().baseline, nil
}

// Floor returns the time below which records were pruned; zero while nothing was.
func (s *Store) Floor() time.Time { return s.settings().floor }

// Paired reports whether it was ever known what the receiver has: a recorder spoke, ids were imported, or an oracle answered.
func (s *Store) Paired() bool { return s.settings().paired }

// Spoke reports whether a source of this proof has ever said anything.
func (s *Store) Spoke(proof Proof) bool { return s.settings().spoken&bit(proof) != 0 }

func bit(proof Proof) uint16 { return 1 << proof }

// SetPaired notes that oracles answered, each known by its proof. Nothing is written where that is known.
func (s *Store) SetPaired(oracles ...Proof) error {
	var spoken uint16
	for _, proof := range oracles {
		spoken |= bit(proof)
	}
	if m := s.settings(); m.paired && m.spoken|spoken == m.spoken {
		return nil
	}
	if err := s.update(false, func(t *tx) error { return t.setPaired(time.Now(), spoken) }); err != nil {
		return fmt.Errorf("note that a source answered: %w", err)
	}
	return nil
}

// setPaired notes that it is known what the receiver has, and who said so.
func (t *tx) setPaired(now time.Time, spoken uint16) error {
	payload, paired, err := t.get(t.bucket(bucketMeta), []byte(metaPaired))
	if err != nil {
		return err
	}
	if paired {
		before := numberOfBits(tail(payload, 8))
		if before|spoken == before {
			return nil
		}
		now, spoken = timeAt(payload), before|spoken
	}
	t.after(func() { t.s.change(func(m *settings) { m.paired, m.spoken = true, spoken }) })
	return t.putMeta(metaPaired, binary.BigEndian.AppendUint16(appendTime(nil, now), spoken))
}

// numberOfBits reads 2 bytes; fewer are none.
func numberOfBits(b []byte) uint16 {
	if len(b) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(b)
}

// setFloor moves the floor, forward only.
func (t *tx) setFloor(at time.Time) error {
	payload, _, err := t.get(t.bucket(bucketMeta), []byte(metaFloor))
	if err != nil {
		return err
	}
	if !at.After(timeAt(payload)) {
		return nil
	}
	t.after(func() { t.s.change(func(m *settings) { m.floor = at }) })
	return t.putMeta(metaFloor, appendTime(nil, at))
}

func (t *tx) putMeta(key string, payload []byte) error {
	return t.put(t.bucket(bucketMeta), []byte(key), payload)
}

// nextGeneration counts this commit.
func (t *tx) nextGeneration() error {
	next := t.s.generation.Load() + 1
	t.after(func() { t.s.generation.Store(next) })
	now := second(time.Now())
	t.after(func() { t.s.change(func(m *settings) { m.commit = now }) })
	return t.putMeta(metaGeneration, appendTime(appendNumber(nil, next), now))
}

// settings returns a copy of the memory of meta.
func (s *Store) settings() settings {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.meta
}

func (s *Store) change(fn func(*settings)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn(&s.meta)
}

func (s *Store) setCounts(c counts) { s.change(func(m *settings) { m.counts = c }) }

// metaReader reads settings one after the other and keeps the first error.
type metaReader struct {
	t   *tx
	err error
}

func (r *metaReader) read(key string) []byte {
	payload, _, err := r.t.get(r.t.bucket(bucketMeta), []byte(key))
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("setting %q: %w", key, err)
	}
	return payload
}

// readMeta reads all settings but the counters, which can be counted anew.
func (t *tx) readMeta() (settings, uint64, error) {
	r := metaReader{t: t}
	m := settings{
		uuid:     string(r.read(metaUUID)),
		created:  timeAt(r.read(metaCreated)),
		base:     string(r.read(metaBase)),
		baseline: timeAt(r.read(metaBaseline)),
		begun:    r.read(metaBaseline) != nil,
		floor:    timeAt(r.read(metaFloor)),
		paired:   r.read(metaPaired) != nil,
		spoken:   numberOfBits(tail(r.read(metaPaired), 8)),
		commit:   timeAt(tail(r.read(metaGeneration), 8)),
		lost:     decodeLost(r.read(metaRestored)),
	}
	generation := numberAt(r.read(metaGeneration))
	if r.err != nil {
		return m, 0, r.err
	}
	var err error
	if m.receiver, err = t.receiver(); err != nil {
		return m, 0, err
	}
	if n, ok, err := t.notices(); err != nil {
		return m, 0, err
	} else if ok {
		m.notices = &n
	}
	return m, generation, nil
}

// readFormat returns the format version, 0 where there is none.
func (t *tx) readFormat() (uint32, error) {
	b := t.bucket(bucketMeta)
	if b == nil {
		return 0, nil
	}
	payload, _, err := t.get(b, []byte(metaFormat))
	if err != nil || len(payload) < 4 {
		return 0, err
	}
	return binary.BigEndian.Uint32(payload), nil
}

// sameBase reports whether two API bases are one; how many slashes end them does not matter.
func sameBase(a, b string) bool {
	return strings.TrimRight(a, "/") == strings.TrimRight(b, "/")
}
