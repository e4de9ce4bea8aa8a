package heygen

import (
	"testing"
	"time"
)

func TestExpiredLinks(t *testing.T) {
	now := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	past, future := "1774440000", "1799999999" // 25 March 2026 and 15 January 2027
	tests := []struct {
		name, data string
		want       int
	}{
		{"none", `{"video_id":"v"}`, 0},
		{"no signature", `{"url":"https://files.heygen.com/video/v.mp4"}`, 0},
		{"past", `{"url":"https://f.heygen.com/v.mp4?Expires=` + past + `&Signature=s&Key-Pair-Id=k"}`, 1},
		{"long past", `{"url":"https://f.heygen.com/v.mp4?Expires=1&Signature=s"}`, 1},
		{"beyond all numbers", `{"url":"https://f.heygen.com/v.mp4?Expires=123456789012&Signature=s"}`, 0},
		{"future", `{"url":"https://f.heygen.com/v.mp4?Expires=` + future + `&Signature=s"}`, 0},
		{"this very second", `{"url":"https://f.heygen.com/v.mp4?Expires=1775001600"}`, 1},
		{"not the first parameter", `{"url":"https://f.heygen.com/v.mp4?a=b&Expires=` + past + `"}`, 1},
		{"escaped ampersand", `{"url":"https://f.heygen.com/v.mp4?a=b\u0026Expires=` + past + `"}`, 1},
		{"escaped slashes", `{"url":"https:\/\/f.heygen.com\/v.mp4?Expires=` + past + `"}`, 1},
		{"two of three", `{"a":"https://f/1?Expires=` + past + `","b":"https://f/2?Expires=` + future + `","c":["https://f/3?Expires=` + past + `"]}`, 2},
		{"amazon, past", `{"url":"https://s3/v?X-Amz-Date=20260301T000000Z&X-Amz-Expires=604800"}`, 1},
		{"amazon, future", `{"url":"https://s3/v?X-Amz-Expires=604800&X-Amz-Date=20260331T000000Z"}`, 0},
		{"amazon, no span", `{"url":"https://s3/v?X-Amz-Date=20260301T000000Z"}`, 0},
		{"amazon, no such date", `{"url":"https://s3/v?X-Amz-Date=20261301T000000Z&X-Amz-Expires=1"}`, 0},
		{"no number", `{"url":"https://f/v?Expires=soon"}`, 0},
		{"a word of text", `{"msg":"Expires=` + past + `"}`, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := ExpiredLinks([]byte(tt.data), now); got != tt.want {
				t.Errorf("ExpiredLinks is %d, want %d", got, tt.want)
			}
		})
	}
}
