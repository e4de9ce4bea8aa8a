package query

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/go-sql-driver/mysql"

	"backstop/internal/heygen"
)

// failure is an error that is fit for people: it holds no error of a driver,
// which may print more than it should.
type failure struct {
	said   string // by the database or by us; one line
	remedy string // what to do; "": not known
	cause  error  // of the context; nil: another one
}

// Error implements error.
func (f *failure) Error() string {
	if f.remedy == "" {
		return f.said
	}
	return f.said + "; " + f.remedy
}

// Unwrap gives the context's error, when that ended the question.
func (f *failure) Unwrap() error { return f.cause }

// explain turns whatever went wrong into a line that begins with the driver.
func (q *Query) explain(ctx context.Context, err error) error {
	f := failed(ctx, q.dialect, err)
	if errors.Is(f, context.DeadlineExceeded) && ctx.Err() == nil {
		f = &failure{said: fmt.Sprintf("no answer within %s", q.timeout+grace), remedy: "is it reachable, and the query fast? Or raise timeout"}
	}
	return fmt.Errorf("%s: %w", q.driver, f)
}

// failed tells what err is about, without the secrets.
func failed(ctx context.Context, d dialect, err error, secrets ...string) *failure {
	var known *failure
	if errors.As(err, &known) {
		return known
	}
	if ctx.Err() != nil {
		return &failure{said: ctx.Err().Error(), cause: ctx.Err()}
	}
	if said, remedy, ok := d.explain(err); ok {
		return &failure{said: heygen.Clean(said, secrets...), remedy: remedy}
	}
	said, remedy := between(err)
	return &failure{said: heygen.Clean(said, secrets...), remedy: remedy, cause: contextual(err)}
}

// between tells what went wrong between us and the database.
func between(err error) (said, remedy string) {
	var dial *net.OpError
	var name *net.DNSError
	switch {
	case errors.As(err, &name):
		return "lookup " + name.Name + ": " + outcome(name.Err), "correct the host in the dsn"
	case errors.Is(err, syscall.ECONNREFUSED) && errors.As(err, &dial):
		return there(dial), "is the database running, and the address in the dsn right?"
	case errors.As(err, &dial):
		return there(dial), ""
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, mysql.ErrInvalidConn):
		return "the connection broke", "it is asked again when the server is back"
	}
	return innermost(err).Error(), ""
}

// there tells what failed, without our end of the connection: its port is another one each time, and one failure must
// read the same however often it comes.
func there(failed *net.OpError) string {
	cut := *failed
	cut.Source = nil
	return cut.Error()
}

// outcome is the end of what a lookup says: before it may stand the connection to the name server, with our port.
func outcome(said string) string {
	if i := strings.LastIndex(said, ": "); i >= 0 {
		return said[i+len(": "):]
	}
	return said
}

// innermost is the error without what was wrapped around it: drivers put the
// user and the database there.
func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// contextual is the context's error within err, nil when there is none.
func contextual(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	}
	return nil
}
