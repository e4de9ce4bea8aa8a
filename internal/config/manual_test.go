package config_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"backstop/internal/config"
)

const manual = "../../config.yaml"

// setting is a line of the manual that is commented out: # and no space.
var setting = regexp.MustCompile(`(?m)^( *)#([a-z-])`)

func readManual(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The manual as it is, and with every setting in it taken out of its comment,
// is the default configuration.
func TestManualIsTheDefault(t *testing.T) {
	text := readManual(t)
	for name, text := range map[string]string{"as it is": text, "all settings": setting.ReplaceAllString(text, "$1$2")} {
		t.Run(name, func(t *testing.T) {
			c, warnings := load(t, text, environ{})
			if got, want := printed(t, c), printed(t, config.Default()); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if err := c.Need(); err != nil || len(warnings) > 0 {
				t.Errorf("need: %v, warnings: %v", err, warnings)
			}
		})
	}
}

// Each setting alone is valid too.
func TestManualLineByLine(t *testing.T) {
	text := readManual(t)
	places := setting.FindAllStringIndex(text, -1)
	for _, place := range places {
		mark := strings.IndexByte(text[place[0]:], '#') + place[0]
		c, _ := load(t, text[:mark]+text[mark+1:], environ{})
		if got, want := printed(t, c), printed(t, config.Default()); got != want {
			t.Errorf("%s: got\n%s", text[mark:place[1]+20], got)
		}
	}
	if len(places) < 40 {
		t.Errorf("the manual has %d settings, want all", len(places))
	}
}

// The manual names every key there is: print shows all but the _file twins.
func TestManualIsComplete(t *testing.T) {
	var inManual, known map[string]any
	if err := yaml.Unmarshal([]byte(setting.ReplaceAllString(readManual(t), "$1$2")), &inManual); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(printed(t, config.Default())), &known); err != nil {
		t.Fatal(err)
	}
	for _, twin := range []string{"heygen.api_key", "heygen.access_token", "receiver.secret", "admin.token", "admin.ping_url", "notify.url"} {
		part, key, _ := strings.Cut(twin, ".")
		known[part].(map[string]any)[key+"_file"] = ""
	}
	if got, want := keysOf(inManual), keysOf(known); !slices.Equal(got, want) {
		t.Errorf("the manual has\n%v\nknown are\n%v", got, want)
	}
}

func keysOf(parts map[string]any) []string {
	var keys []string
	for _, part := range slices.Sorted(maps.Keys(parts)) {
		keys = append(keys, part)
		if inner, ok := parts[part].(map[string]any); ok {
			for _, key := range slices.Sorted(maps.Keys(inner)) {
				keys = append(keys, part+"."+key)
			}
		}
	}
	return keys
}
