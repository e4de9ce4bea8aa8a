package reconcile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/theory/jsonpath"
)

// LogFields are JSONPaths (RFC 9535); "" is a field that lines do not have. In a pattern the groups have these names.
type LogFields struct {
	EventID    string // event_id
	EventType  string // event_type; with EventData the content of a push, which may have no id
	EventData  string // event_data: an object, or a string that holds one
	Status     string // status: the answer to the push; where it is set only a 2xx counts
	ReceivedAt string // received_at: RFC 3339, Unix seconds or milliseconds, or as access logs write it
}

const (
	fieldEventID    = "event_id"
	fieldEventType  = "event_type"
	fieldEventData  = "event_data"
	fieldStatus     = "status"
	fieldReceivedAt = "received_at"
)

func logFieldNames() []string {
	return []string{fieldEventID, fieldEventType, fieldEventData, fieldStatus, fieldReceivedAt}
}

// named gives the fields that are set.
func (f LogFields) named() map[string]string {
	all := map[string]string{
		fieldEventID: f.EventID, fieldEventType: f.EventType, fieldEventData: f.EventData,
		fieldStatus: f.Status, fieldReceivedAt: f.ReceivedAt,
	}
	for name, path := range all {
		if path == "" {
			delete(all, name)
		}
	}
	return all
}

// fieldsPrint is a short fingerprint of how lines are read. It is part of what a position belongs to: two readings of one
// log are each read to their end, and lines that a corrected field shows are not taken for read. What was kept for another
// reading stays, a few hundred bytes for each: with the fields as they were it is read on from there.
//
// Read again, an id is recorded as it was. A push that is known by its content alone counts a second time, and may account
// for a later one of the same content, until it lapses: 72 hours after the time in its line, or after the reading where the
// line has none. That is accepted: with the fields as they were, it mostly was not read at all.
func fieldsPrint(pattern string, f LogFields) string {
	text, _ := json.Marshal(map[string]any{"pattern": pattern, "fields": f.named()}) // strings, sorted by name
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:6])
}

// CheckLogFields reports what is wrong with the fields of JSON lines: a path that is none, or no field that tells the event.
func CheckLogFields(f LogFields) error {
	_, err := pathReader(f)
	return err
}

// CheckJSONPath reports why text is no JSONPath (RFC 9535).
func CheckJSONPath(text string) error {
	if _, err := jsonpath.Parse(text); err != nil {
		return fmt.Errorf("%q is no JSONPath (%s); write one such as $.event_id", text, reason(err))
	}
	return nil
}

// CheckLogPattern reports why text is no pattern for lines: a regular expression in Go's syntax whose named groups are
// fields, and tell the event.
func CheckLogPattern(text string) error {
	_, err := patternReader(text, LogFields{})
	return err
}

func pathReader(f LogFields) (*lineReader, error) {
	r := &lineReader{paths: map[string]*jsonpath.Path{}, fields: map[string]bool{}}
	var wrong []error
	for _, name := range logFieldNames() {
		text := f.named()[name]
		if text == "" {
			continue
		}
		r.fields[name] = true
		path, err := jsonpath.Parse(text)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", name, CheckJSONPath(text)))
		}
		r.paths[name] = path
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	if !tells(r.fields) {
		return nil, errors.New("no field tells the event; set event_id, or event_type and event_data, or a pattern with these groups")
	}
	return r, nil
}

func patternReader(text string, f LogFields) (*lineReader, error) {
	if len(f.named()) > 0 {
		return nil, errors.New("a pattern names the fields itself; remove it or the fields beside it")
	}
	pattern, err := regexp.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("the pattern is no regular expression: %s; correct it", reason(err))
	}
	r := &lineReader{pattern: pattern, fields: map[string]bool{}}
	for _, name := range pattern.SubexpNames() {
		if name == "" {
			continue
		}
		if !slices.Contains(logFieldNames(), name) {
			return nil, fmt.Errorf("the pattern has a group %q, which is no field; known are %s", name, strings.Join(logFieldNames(), ", "))
		}
		r.fields[name] = true
	}
	if !tells(r.fields) {
		return nil, errors.New("the pattern has no group that tells the event; name one (?P<event_id>…), or two (?P<event_type>…) and (?P<event_data>…)")
	}
	return r, nil
}

// tells reports whether the fields are enough to know an event.
func tells(fields map[string]bool) bool {
	return fields[fieldEventID] || fields[fieldEventType] && fields[fieldEventData]
}

// reason is the message of a library without its own prefix.
func reason(err error) string {
	text := strings.TrimPrefix(err.Error(), "jsonpath: ")
	return strings.TrimPrefix(text, "error parsing regexp: ")
}
