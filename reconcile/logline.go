package reconcile

import (
	"bytes"
	"encoding/json"
	"regexp"
	"time"

	"github.com/theory/jsonpath"

	"backstop/internal/heygen"
	"backstop/state"
)

// lineReader tells what a line shows: by a pattern, or by paths into its JSON.
type lineReader struct {
	pattern *regexp.Regexp // nil: JSON
	paths   map[string]*jsonpath.Path
	fields  map[string]bool // those that lines have
}

func newLineReader(pattern string, f LogFields) (*lineReader, error) {
	if pattern != "" {
		return patternReader(pattern, f)
	}
	return pathReader(f)
}

// sighting gives what a line proves: a push that was answered with a 2xx, by its id, its content, or both. accepted says
// that the line tells of a 2xx, also where it proves nothing.
func (r *lineReader) sighting(line []byte, now time.Time) (one state.Sighting, accepted, ok bool) {
	values, ok := r.values(line)
	accepted = ok && r.fields[fieldStatus] && handled(string(values[fieldStatus]))
	if !ok || r.fields[fieldStatus] && !accepted {
		return one, false, false
	}
	if id := string(values[fieldEventID]); id != "-" && heygen.PrintableID(id) {
		one.ID = id
	}
	one.Fact = content(string(values[fieldEventType]), values[fieldEventData])
	if one.ID == "" && one.Fact.IsZero() {
		return one, accepted, false
	}
	one.At = receivedAt(string(values[fieldReceivedAt]), now)
	one.Proof = state.Log
	return one, accepted, true
}

// content is the content key of a push; none of what is no JSON object.
func content(eventType string, data []byte) heygen.Fact {
	data = bytes.TrimSpace(data)
	if eventType == "" || len(data) == 0 || data[0] != '{' || !json.Valid(data) {
		return heygen.Fact{}
	}
	fact, _ := heygen.FactOf(eventType, data) // zero says it, too
	return fact
}

// values takes a line apart; what a line does not have is empty.
func (r *lineReader) values(line []byte) (map[string][]byte, bool) {
	if r.pattern == nil {
		return r.selected(line)
	}
	groups := r.pattern.FindSubmatch(line)
	if groups == nil {
		return nil, false
	}
	values := make(map[string][]byte, len(groups))
	for i, name := range r.pattern.SubexpNames() {
		if name != "" {
			values[name] = groups[i]
		}
	}
	return values, true
}

// selected reads a line as JSON. Numbers stay as they are written: the content key compares them so.
func (r *lineReader) selected(line []byte) (map[string][]byte, bool) {
	if first := bytes.TrimSpace(line); len(first) == 0 || first[0] != '{' && first[0] != '[' || !json.Valid(line) {
		return nil, false
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	var root any
	if decoder.Decode(&root) != nil {
		return nil, false
	}
	values := make(map[string][]byte, len(r.paths))
	for name, path := range r.paths {
		if nodes := path.Select(root); len(nodes) > 0 {
			values[name] = textOf(nodes[0])
		}
	}
	return values, true
}

// textOf gives a scalar as text and an object as JSON. event_data may be either: many log it as a string.
func textOf(node any) []byte {
	switch v := node.(type) {
	case string:
		return []byte(v)
	case json.Number:
		return []byte(v)
	case map[string]any:
		text, err := json.Marshal(v)
		if err != nil {
			return nil // unreachable: it was decoded from JSON
		}
		return text
	}
	return nil
}
