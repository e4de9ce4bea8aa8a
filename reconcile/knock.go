package reconcile

import (
	"context"
	"net/http"
	"time"
)

// Knock is what came of a request that asks the receiver for nothing.
type Knock struct {
	Answer
	Expires time.Time // the first end of a certificate that it showed; zero: it showed none
}

// Knock sends OPTIONS to the receiver's URL over the same connections as a replay,
// as HeyGen does when an endpoint is registered. It carries the configured headers,
// no body and no signature. Whatever has a status shows that somebody listens.
func (s *Sender) Knock(ctx context.Context) Knock {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodOptions, s.url.String(), nil)
	if err != nil {
		return Knock{Answer: Answer{Err: "the request could not be built", Class: Retry}}
	}
	req.Header = s.headers.Clone()
	req.Header.Set("User-Agent", s.agent)
	req.Host = s.host
	start := time.Now()
	resp, err := s.transport.RoundTrip(req)
	latency := time.Since(start)
	if err != nil {
		return Knock{Answer: Answer{Err: words(ctx, err), Latency: latency, Class: Retry}}
	}
	listen(resp, cancel)
	return Knock{
		Answer:  Answer{Status: resp.StatusCode, Err: redirect(resp), Latency: latency, Class: classOf(resp.StatusCode)},
		Expires: expiry(resp),
	}
}

// expiry is when the first certificate of the chain that was shown ends.
func expiry(resp *http.Response) (end time.Time) {
	if resp.TLS == nil {
		return end
	}
	for _, certificate := range resp.TLS.PeerCertificates {
		if end.IsZero() || certificate.NotAfter.Before(end) {
			end = certificate.NotAfter
		}
	}
	return end
}
