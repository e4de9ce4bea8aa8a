package api

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"backstop/internal/exit"
)

// lines writes JSON lines, each of them on its way at once, so that whoever
// waits sees what happens.
type lines struct {
	w       http.ResponseWriter
	encoder *json.Encoder
	flush   func()
	began   bool
}

func newLines(w http.ResponseWriter) *lines {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	control := http.NewResponseController(w)
	return &lines{w: w, encoder: encoder, flush: func() { _ = control.Flush() }}
}

func (l *lines) begin() {
	if l.began {
		return
	}
	l.began = true
	l.w.Header().Set("Content-Type", "application/x-ndjson")
	l.w.Header().Set("Cache-Control", "no-store")
	l.w.WriteHeader(http.StatusOK)
}

func (l *lines) row(v any) error {
	l.begin()
	if err := l.encoder.Encode(v); err != nil {
		return fmt.Errorf("write a row: %w", err)
	}
	l.flush()
	return nil
}

// end closes the stream with what it came to. An error before the first row is
// an ordinary answer.
func (l *lines) end(result any, err error) {
	if !l.began && err != nil && result == nil {
		writeError(l.w, statusOf(err), err)
		return
	}
	l.begin()
	if result == nil && err == nil {
		return
	}
	last := tail{}
	if result != nil {
		last.Result, _ = json.Marshal(result)
	}
	if err != nil {
		body := BodyOf(err)
		last.Error = &body
	}
	_ = l.row(last)
}

// statusOf gives the HTTP status of an error that an operation ended with.
func statusOf(err error) int {
	switch exit.CodeOf(err) {
	case exit.Usage:
		return http.StatusBadRequest
	case exit.Credentials, exit.Timeout:
		return http.StatusBadGateway
	default:
		return http.StatusInternalServerError
	}
}

// tail is the last line of a stream.
type tail struct {
	Result json.RawMessage `json:"result,omitempty"`
	Error  *ErrorBody      `json:"error,omitempty"`
}

// readLines gives every row to yield and decodes the last line into result,
// which may be nil. The error of the last line is returned.
func readLines[T any](body io.Reader, result any, yield func(T) error) error {
	reader := bufio.NewReader(body)
	for {
		line, err := reader.ReadBytes('\n')
		if len(line) > 0 {
			done, rowErr := readLine(line, result, yield)
			if done || rowErr != nil {
				return rowErr
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return brokeOff(err)
		}
	}
}

func readLine[T any](line []byte, result any, yield func(T) error) (done bool, err error) {
	var last tail
	if err := json.Unmarshal(line, &last); err == nil && (last.Result != nil || last.Error != nil) {
		if last.Result != nil && result != nil {
			if err := json.Unmarshal(last.Result, result); err != nil {
				return true, fmt.Errorf("read the result: %w", err)
			}
		}
		return true, last.Error.Err()
	}
	var row T
	if err := json.Unmarshal(line, &row); err != nil {
		return true, fmt.Errorf("read a row: %w", err)
	}
	return false, yield(row)
}

// ErrBrokeOff is in the error of an answer that did not come to its end: the daemon
// was killed.
var ErrBrokeOff = errors.New("the answer broke off")

// brokeOff is the error of an answer that did not come to its end.
func brokeOff(err error) error {
	hint := "the daemon ended meanwhile; run it again, what is queued stays queued"
	return exit.Wrap(exit.Failed, hint, fmt.Errorf("%w: %w", ErrBrokeOff, err))
}
