package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"backstop/internal/heygen"
)

const (
	postTime    = 10 * time.Second // of one attempt
	postRetries = 2
	postWait    = time.Second // before the first retry; doubles
	answerCap   = 64 << 10
)

// target is a URL that is asked for: of notices, or of the dead man's switch. It
// never shows itself.
type target struct {
	url     func() (string, error)
	headers func() (map[string]string, error) // nil: none
	agent   string
	http    *retryablehttp.Client
}

// newTarget makes one that tries again so often. transport is for tests; nil: its own.
func newTarget(url func() (string, error), headers func() (map[string]string, error), version string, retries int, transport http.RoundTripper) *target {
	if transport == nil {
		transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
			DisableKeepAlives: true, MaxResponseHeaderBytes: answerCap, // a notice is rare: no connection waits for the next one
		}
	}
	c := retryablehttp.NewClient()
	c.Logger, c.RetryMax, c.RetryWaitMin, c.RetryWaitMax = nil, retries, postWait, 4*postWait
	c.ErrorHandler = retryablehttp.PassthroughErrorHandler
	c.Backoff = func(low, high time.Duration, attempt int, _ *http.Response) time.Duration {
		return min(low<<attempt, high)
	}
	c.HTTPClient = &http.Client{Timeout: postTime, Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &target{url: url, headers: headers, agent: "backstop/" + version, http: c}
}

// send asks once, or as often as it tries again, and wants a 2xx. Its error names
// neither the URL nor what was answered.
func (t *target) send(ctx context.Context, method string, body []byte) error {
	where, err := t.url()
	if err != nil {
		return err
	}
	request, err := retryablehttp.NewRequestWithContext(ctx, method, where, bytes.NewReader(body))
	if err != nil {
		return errors.New("its URL can't be used; correct it in the configuration")
	}
	if err := t.dress(request.Header, len(body) > 0); err != nil {
		return err
	}
	response, err := t.http.Do(request)
	if err != nil {
		return nameless(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, answerCap)) // the status alone counts
	switch {
	case response.StatusCode/100 == 2:
		return nil
	case response.StatusCode/100 == 3:
		return fmt.Errorf("it answered %d: redirects are not followed; write the URL that it leads to", response.StatusCode)
	}
	return fmt.Errorf("it answered %d", response.StatusCode)
}

func (t *target) dress(h http.Header, json bool) error {
	h.Set("User-Agent", t.agent)
	if json {
		h.Set("Content-Type", "application/json")
	}
	if t.headers == nil {
		return nil
	}
	values, err := t.headers()
	for name, value := range values {
		h.Set(name, value)
	}
	return err
}

// nameless takes the URL out of an error.
func nameless(err error) error {
	var wrapped *url.Error
	for errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("it did not answer in time")
	}
	return errors.New(heygen.Clean(err.Error()))
}
