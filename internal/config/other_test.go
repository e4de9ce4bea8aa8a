package config_test

import (
	"strings"
	"testing"

	"backstop/internal/config"
)

func TestOtherReceiver(t *testing.T) {
	cfg := config.Default()
	cfg.Receiver.URL = "https://Receiver.example.com:443/hook?token=query-1"
	cfg.Admin.Listen = "127.0.0.1:8710"
	for text, want := range map[string]string{
		"https://staging.example.com/hook":          "",
		"https://receiver.example.com/other":        "",
		"http://127.0.0.1:9000/hook":                "",
		"http://staging.example.com/hook":           "plain",
		"https://receiver.example.com./hook?x=1":    "is receiver.url itself",
		"https://receiver.example.com/hook":         "is receiver.url itself",
		"https://user:word@staging.example.com/":    "has a user name or password in it",
		"https://staging.example.com/hook#fragment": "has a fragment",
		"staging.example.com/hook":                  "has no scheme",
		"ftp://staging.example.com/hook":            "is neither http nor https",
		"http://localhost:8710/v1/seen":             "points at backstop itself",
	} {
		plain, err := cfg.OtherReceiver(text)
		switch {
		case want == "" && (err != nil || plain), want == "plain" && (err != nil || !plain):
			t.Errorf("%s: plain %v, %v", text, plain, err)
		case want != "" && want != "plain" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s gives %v, want %q", text, err, want)
		case err != nil && strings.Contains(err.Error(), "example.com/hook"):
			t.Errorf("the error quotes the URL: %v", err)
		}
	}
}
