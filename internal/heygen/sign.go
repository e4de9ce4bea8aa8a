package heygen

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Sign returns HeyGen's signature of a body: lower-case hex HMAC-SHA256, keyed
// with the secret as it is written, prefix and all.
func Sign(secret string, body []byte) string {
	return hex.EncodeToString(digest(secret, body))
}

// Verify reports whether signature is that of body under any of the secrets.
// It takes hex in any case, compares in constant time, tries every secret
// whichever fits, and never accepts an empty secret.
func Verify(secrets []string, body []byte, signature string) bool {
	given, err := hex.DecodeString(strings.TrimSpace(signature))
	if err != nil || len(given) != sha256.Size {
		return false
	}
	ok := false
	for _, s := range secrets {
		if s != "" && hmac.Equal(given, digest(s, body)) {
			ok = true
		}
	}
	return ok
}

func digest(secret string, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return mac.Sum(nil)
}

// Body returns the body of a push as HeyGen sends it: two keys, in this order,
// compact, without HTML escaping; data is put in byte for byte.
func Body(eventType string, data []byte) []byte {
	b := make([]byte, 0, len(`{"event_type":"","event_data":}`)+len(eventType)+len(data)+8)
	b = append(b, `{"event_type":`...)
	// The only error is invalid UTF-8, which is replaced; the text is complete.
	b, _ = jsontext.AppendQuote(b, eventType)
	b = append(b, `,"event_data":`...)
	b = append(b, data...)
	return append(b, '}')
}
