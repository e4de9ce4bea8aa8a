package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"backstop/internal/secret"
)

// twin is a secret and its _file twin as they are written.
type twin struct {
	texts []secret.Secret
	files []secret.Secret
	at    value // the last of the two keys that says something
}

// secretText makes a field from a secret that stands in the value.
func (d *decoder) secretText(t *twin) func(value) {
	return func(v value) {
		text, ok := d.text(v)
		if !ok || text == "" {
			return
		}
		t.at = v
		if fault := secretFault(v.key, text); fault != "" {
			d.wrong(v, "%s", fault)
			return
		}
		if v.literal() {
			d.warn(v, "a secret in the file itself, write the _file twin or ${VAR} instead")
			d.inline = v
		}
		t.texts = append(t.texts, secret.Text(text))
	}
}

// secretTexts takes one secret or a list of them.
func (d *decoder) secretTexts(t *twin) func(value) {
	return oneOrMore(d, d.secretText(t))
}

// secretFiles takes one path; a list only for the key that may have several.
func (d *decoder) secretFiles(t *twin) func(value) {
	one := func(v value) {
		text, ok := d.text(v)
		if !ok || text == "" {
			return
		}
		t.at = v
		t.files = append(t.files, d.secretFile(v, text))
	}
	return func(v value) {
		if v.key == "receiver.secret_file" {
			one = oneOrMore(d, one)
		}
		one(v)
	}
}

func oneOrMore(d *decoder, one func(value)) func(value) {
	return func(v value) {
		if v.node != nil && v.node.Kind == yaml.SequenceNode {
			d.list(v, one)
			return
		}
		one(v)
	}
}

// secretFile looks at a file now, so that config check finds what is wrong
// with it. What is wrong counts only where the value is needed.
func (d *decoder) secretFile(v value, file string) secret.Secret {
	s := secret.File(file)
	text, err := s.Value()
	if err != nil {
		d.postpone(v, err)
		return s
	}
	if fault := secretFault(strings.TrimSuffix(v.key, fileSuffix), text); fault != "" {
		d.postpone(v, fmt.Errorf("the value in the file %s", fault))
	}
	d.warnModes(v, file, "is a secret file")
	return s
}

// secretFault says what is wrong with a secret, without quoting it.
func secretFault(key, text string) string {
	switch {
	case hasControl(text):
		return "holds a control character, write it on one line"
	case strings.HasPrefix(key, "receiver."):
		return "" // HMAC keys may have spaces; the others travel in a header
	case strings.TrimSpace(text) != text:
		return "begins or ends with a space, remove it"
	}
	return ""
}

// warnModes warns of a file that others may read or that anybody but its owner
// may change. Its group may read it: services are often set up so.
func (d *decoder) warnModes(v value, file, what string) {
	const loose = 0o027
	info, err := os.Stat(file)
	if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&loose != 0 {
		d.warn(v, "%s %s and has mode %04o, run chmod 600", file, what, info.Mode().Perm())
	}
}

// one is the single secret of a pair; it notes it when both are written.
func (d *decoder) one(t twin) secret.Secret {
	if all := d.all(t); len(all) > 0 {
		return all[0]
	}
	return secret.Secret{}
}

func (d *decoder) all(t twin) []secret.Secret {
	if len(t.texts) > 0 && len(t.files) > 0 {
		d.wrong(t.at, "is set beside its twin, keep either the value or the _file")
	}
	return append(t.texts, t.files...)
}

// findAPIKey looks in the usual places when the configuration names none.
func (d *decoder) findAPIKey() {
	h := &d.config.Heygen
	if d.config.hasCredentials() || d.undecided("heygen.api_key") || d.undecided("heygen.access_token") {
		return
	}
	if key := d.fromVariable("HEYGEN_API_KEY", keyAPIKey); !key.IsZero() {
		h.APIKey, d.config.KeyFrom = key, "HEYGEN_API_KEY"
		return
	}
	if key := d.fromSystemd("heygen-api-key", keyAPIKey); !key.IsZero() {
		h.APIKey, d.config.KeyFrom = key, "the systemd credential heygen-api-key"
		return
	}
	if key := d.fromHeygenCLI(); !key.IsZero() {
		h.APIKey, d.config.KeyFrom = key, d.heygenFile()
	}
}

// keyFrom says where the file of the configuration has a key from; "" for none.
func (d *decoder) keyFrom(key string, t twin) string {
	switch {
	case len(t.files) > 0:
		return "the " + t.files[0].Source()
	case len(t.texts) > 0:
		return key + " in " + d.file
	}
	return ""
}

// findSecret does the same for the webhook secret. An empty secret that is
// spelled out in the file means unsigned.
func (d *decoder) findSecret() {
	r := &d.config.Receiver
	said, ok := d.written["receiver.secret"]
	if len(r.Secrets) > 0 || d.undecided("receiver.secret") || ok && said.literal() {
		return
	}
	found := d.fromVariable("HEYGEN_WEBHOOK_SECRET", "receiver.secret")
	if found.IsZero() {
		found = d.fromSystemd("heygen-webhook-secret", "receiver.secret")
	}
	if !found.IsZero() {
		r.Secrets = []secret.Secret{found}
	}
}

// undecided is true for a value that is written, wrongly or with a variable
// that is not set: no other place may answer for it.
func (d *decoder) undecided(key string) bool {
	for _, p := range d.config.pending {
		if within(p.mistake.Key, key) {
			return true
		}
	}
	for _, m := range d.mistakes {
		if within(m.Key, key) {
			return true
		}
	}
	return false
}

func (d *decoder) fromVariable(name, key string) secret.Secret {
	var t twin
	if text, ok := d.env(name); ok {
		d.secretText(&t)(value{key: key, origin: "environment " + name, text: text})
	}
	return d.one(t)
}

// fromSystemd takes a credential that the unit was given, when there is one.
func (d *decoder) fromSystemd(name, key string) secret.Secret {
	dir, _ := d.env("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return secret.Secret{}
	}
	file := filepath.Join(dir, name)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return secret.Secret{}
	}
	return d.secretFile(value{key: key, origin: "systemd credential " + name}, file)
}

// fromHeygenCLI reads the credentials of the official heygen command line: a
// JSON object whose api_key is the key, or, from its older versions, the key
// alone on one line. The file is never written. It is a last resort: what is
// wrong with it is a warning.
func (d *decoder) fromHeygenCLI() secret.Secret {
	file := d.heygenFile()
	if file == "" {
		return secret.Secret{}
	}
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return secret.Secret{}
	}
	at := value{key: keyAPIKey, origin: file}
	if err != nil {
		d.warn(at, "cannot be read (%s), make it readable or set HEYGEN_API_KEY", bare(err))
		return secret.Secret{}
	}
	key, fault := keyIn(data)
	if fault == "" {
		fault = secretFault(keyAPIKey, key)
	}
	if fault != "" {
		d.warn(at, "%s", fault)
		return secret.Secret{}
	}
	return secret.Text(key)
}

// keyIn finds the key in a credentials file, or says why there is none.
func keyIn(data []byte) (key, fault string) {
	text := strings.TrimSpace(string(data))
	if !strings.HasPrefix(text, "{") {
		return text, ""
	}
	var file struct {
		APIKey string `json:"api_key"`
	}
	switch err := json.Unmarshal([]byte(text), &file); {
	case err != nil:
		return "", "is no JSON, run `heygen auth login` again or set HEYGEN_API_KEY"
	case file.APIKey == "":
		return "", "has no api_key (a session of the browser ends too soon to serve), set HEYGEN_API_KEY"
	}
	return file.APIKey, ""
}

func (d *decoder) heygenFile() string {
	if dir, _ := d.env("HEYGEN_CONFIG_DIR"); dir != "" {
		return filepath.Join(dir, "credentials")
	}
	home, _ := d.env("HOME")
	if home == "" {
		return ""
	}
	return filepath.Join(home, ".heygen", "credentials")
}
