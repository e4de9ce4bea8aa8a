// Package exit owns the ways a verb can end: the exit codes that scripts rely
// on, and the error that carries one together with what to do about it. It
// never prints and never ends the process; main does.
package exit

import (
	"errors"
	"fmt"
)

// Code is a process exit code. The codes 0 to 4 are those of the official
// heygen command line.
type Code int

// The exit codes of backstop.
const (
	OK          Code = 0
	Failed      Code = 1   // also a walk that could not be completed
	Usage       Code = 2   // the command line is wrong
	Credentials Code = 3   // HeyGen refused the key: 401, 402, 403
	Timeout     Code = 4   // timed out, or unreachable
	Differences Code = 5   // something is missed or dead
	Held        Code = 11  // another process has the state file
	Config      Code = 78  // the configuration is wrong; a unit must not restart
	Interrupted Code = 130 // SIGINT or SIGTERM of a one-shot verb
)

// names are the words that stand for a code in JSON, so that a code crosses
// the control socket unharmed.
func names() map[Code]string {
	return map[Code]string{
		OK: "ok", Failed: "failed", Usage: "usage", Credentials: "credentials", Timeout: "timeout",
		Differences: "differences", Held: "held", Config: "config", Interrupted: "interrupted",
	}
}

// String gives the word that stands for the code in JSON errors.
func (c Code) String() string {
	if name, ok := names()[c]; ok {
		return name
	}
	return "failed"
}

// ParseCode is the reverse of String; an unknown word is Failed.
func ParseCode(word string) Code {
	for code, name := range names() {
		if name == word {
			return code
		}
	}
	return Failed
}

// Error is an error that knows its exit code and what to do about it.
type Error struct {
	Code    Code
	Message string // what went wrong, lower case, no full stop
	Hint    string // what to do; may be empty where the message says it
	err     error
}

// Error gives the message followed by the hint, so that whoever reads only one
// line reads what to do.
func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + ": " + e.Hint
}

// Unwrap gives the cause, if one was wrapped.
func (e *Error) Unwrap() error { return e.err }

// Errorf makes an Error; an error among args wrapped with %w stays reachable.
func Errorf(code Code, hint, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Hint: hint, err: errors.Unwrap(err)}
}

// Wrap gives err a code and a hint, and keeps one that it has already.
func Wrap(code Code, hint string, err error) error {
	if err == nil {
		return nil
	}
	if known := (*Error)(nil); errors.As(err, &known) {
		return err
	}
	return &Error{Code: code, Message: err.Error(), Hint: hint, err: err}
}

// CodeOf gives the exit code of err: OK for nil, Failed for a foreign error.
// Of joined errors the gravest decides, in the order 3, 4, 1, 5.
func CodeOf(err error) Code {
	if err == nil {
		return OK
	}
	worst := OK
	for _, code := range codes(err) {
		if weight(code) > weight(worst) {
			worst = code
		}
	}
	if worst == OK {
		return Failed
	}
	return worst
}

// codes collects the codes of every Error in the tree of err.
func codes(err error) []Code {
	if known, ok := err.(*Error); ok {
		return []Code{known.Code}
	}
	switch e := err.(type) {
	case interface{ Unwrap() []error }:
		var all []Code
		for _, sub := range e.Unwrap() {
			all = append(all, CodeOf(sub))
		}
		return all
	case interface{ Unwrap() error }:
		if sub := e.Unwrap(); sub != nil {
			return codes(sub)
		}
	}
	return []Code{Failed}
}

// weight orders codes that meet in one run: refused credentials explain the
// rest, then an unreachable API, then a failure, then differences.
func weight(c Code) int {
	switch c {
	case OK:
		return 0
	case Differences:
		return 1
	case Failed:
		return 2
	case Timeout:
		return 3
	case Credentials:
		return 4
	default: // usage, config, held, interrupted: they end a run by themselves
		return 5
	}
}
