package engine

import (
	"bytes"
	"encoding/json"
)

// MarshalJSON leaves out of a plan and of a progress what is about one event, for
// "queued" is told of each event, also where it is false.
func (r ReplayRow) MarshalJSON() ([]byte, error) {
	type ofEvent ReplayRow
	var line any = ofEvent(r)
	if r.ID == "" {
		line = struct {
			Plan     *ReplayPlan       `json:"plan,omitempty"`
			Progress *BackfillProgress `json:"progress,omitempty"`
		}{r.Plan, r.Progress}
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // whoever encodes the row says how
	err := encoder.Encode(line)
	return b.Bytes(), err
}
