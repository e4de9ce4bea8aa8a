package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"backstop/internal/secret"
)

const redacted = "[redacted]"

// Redacted is the whole configuration as YAML, every default filled in, for
// Load to read again: secrets are "[redacted]" and the queries of URLs are cut,
// for they may carry tokens. A secret from a file is shown as its _file twin.
func (c *Config) Redacted() ([]byte, error) { return c.print(cutQuery, dollars) }

// RedactedWithURLs is Redacted with the queries of URLs kept.
func (c *Config) RedactedWithURLs() ([]byte, error) { return c.print(asItIs, dollars) }

// RedactedJSON is Redacted, or RedactedWithURLs, as one JSON object. Its values
// are what is meant: nothing expands a dollar there.
func (c *Config) RedactedJSON(withURLs bool) ([]byte, error) {
	cut := cutQuery
	if withURLs {
		cut = asItIs
	}
	printed, err := c.print(cut, asItIs)
	if err != nil {
		return nil, err
	}
	var values map[string]any
	if err := yaml.Unmarshal(printed, &values); err != nil {
		return nil, err
	}
	return json.Marshal(values)
}

func asItIs(text string) string { return text }

// dollars writes a value so that expand gives it back.
func dollars(text string) string {
	if strings.Contains(text, "$$") || strings.Contains(text, "${") {
		return strings.ReplaceAll(text, "$", "$$")
	}
	return text
}

// print writes the configuration with URLs cut and values written as told.
func (c *Config) print(cut, write func(string) string) ([]byte, error) {
	root, err := c.tree(c.entries(cut), "", write)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(root); err != nil {
		return nil, err
	}
	return b.Bytes(), encoder.Close()
}

// entry is a key with its value: a scalar, a list, or entries.
type entry struct {
	key   string
	value any
}

// entries are in the order of the manual.
func (c *Config) entries(cut func(string) string) []entry {
	h, r, s, j, p, t, a, n, l := c.Heygen, c.Receiver, c.Schedule, c.Reconcile, c.Replay, c.State, c.Admin, c.Notify, c.Log
	return []entry{
		{"heygen", []entry{
			{"base_url", h.BaseURL}, c.secretEntry("heygen", "api_key", h.APIKey), c.secretEntry("heygen", "access_token", h.AccessToken),
			{"event_types", listed(h.EventTypes)}, {"entity_id", h.EntityID}, {"page_size", h.PageSize},
			{"timeout", FormatDuration(h.Timeout)}, {"rate", h.Rate},
		}},
		{"receiver", []entry{
			{"url", cut(r.URL)}, c.secretEntry("receiver", "secret", r.Secrets...), {"timeout", FormatDuration(r.Timeout)},
			{"headers", headerEntries(r.Headers)}, {"body", r.Body},
		}},
		{"schedule", []entry{{"poll", s.Poll}, {"sweep", s.Sweep}, {"timezone", s.Timezone.String()}}},
		{"reconcile", []entry{
			{"settle", FormatDuration(j.Settle)}, {"lookback", FormatDuration(j.Lookback)}, {"sweep_lookback", FormatDuration(j.SweepLookback)},
			{"start", j.Start.String()}, {"collapse_window", FormatDuration(j.CollapseWindow)},
		}},
		{"seen", c.seenEntries()},
		{"replay", []entry{
			{"rate", p.Rate}, {"concurrency", p.Concurrency}, {"max_attempts", p.MaxAttempts},
			{"backoff_min", FormatDuration(p.BackoffMin)}, {"backoff_max", FormatDuration(p.BackoffMax)},
			{"refresh_urls", p.RefreshURLs},
		}},
		{"state", []entry{{"path", t.Path}, {"retention", FormatDuration(t.Retention)}, {"max_size", FormatSize(t.MaxSize)}}},
		{"control", c.Control},
		{"admin", []entry{{"listen", a.Listen}, {"hosts", listed(a.Hosts)}, c.secretEntry("admin", "token", a.Token), c.urlEntry("admin", "ping_url", a.PingURL)}},
		{"notify", []entry{
			c.urlEntry("notify", "url", n.URL), {"format", n.Format}, {"command", manyAsWritten(n.written)},
			{"headers", headerEntries(n.Headers)}, {"cooldown", FormatDuration(n.Cooldown)},
		}},
		{"log", []entry{{"level", strings.ToLower(l.Level.String())}, {"format", l.Format}}},
	}
}

// secretEntry shows where a secret comes from, never what it is.
func (c *Config) secretEntry(part, key string, secrets ...secret.Secret) entry {
	for _, name := range []string{key, key + fileSuffix} {
		if _, ok := c.pendingText(part + "." + name); ok {
			return entry{name, ""} // tree puts the text there
		}
	}
	var shown []string
	for _, s := range secrets {
		switch file, ok := strings.CutPrefix(s.Source(), "file "); {
		case ok:
			key = strings.TrimSuffix(key, fileSuffix) + fileSuffix
			shown = append(shown, file)
		case !s.IsZero():
			shown = append(shown, redacted)
		}
	}
	switch len(shown) {
	case 0:
		return entry{key, ""}
	case 1:
		return entry{key, shown[0]}
	}
	return entry{key, shown}
}

// urlEntry shows of a URL that is a secret where it leads, and no more.
func (c *Config) urlEntry(part, key string, s secret.Secret) entry {
	shown := c.secretEntry(part, key, s)
	if text, err := s.Value(); err == nil && shown.value == redacted {
		if u, err := url.Parse(text); err == nil {
			shown.value = u.Scheme + "://" + u.Host + "/" + redacted
		}
	}
	return shown
}

func headerEntries(headers map[string]secret.Secret) []entry {
	shown := []entry{}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		shown = append(shown, entry{name, redacted})
	}
	return shown
}

// asWritten is a text that is shown as the file has it, with its variables.
type (
	asWritten     string
	manyAsWritten []string
)

// items is a list of mappings.
type items [][]entry

func (c *Config) seenEntries() items {
	shown := items{}
	for i, s := range c.Seen {
		shown = append(shown, c.sourceEntries(fmt.Sprintf("seen[%d]", i), s))
	}
	return shown
}

// listed shows no items as [], not as null.
func listed(items []string) []string { return append([]string{}, items...) }

// tree makes nodes of entries. A value that could not be had is shown as it
// is written.
func (c *Config) tree(entries []entry, part string, write func(string) string) (*yaml.Node, error) {
	mapping := &yaml.Node{Kind: yaml.MappingNode}
	for _, e := range entries {
		var key, inner yaml.Node
		full := under(part, e.key)
		key.SetString(e.key)
		nested, isPart := e.value.([]entry)
		several, isList := e.value.(items)
		text, isPending := c.pendingText(full)
		switch {
		case isPart:
			n, err := c.tree(nested, full, write)
			if err != nil {
				return nil, err
			}
			inner = *n
		case isList:
			n, err := c.list(several, full, write)
			if err != nil {
				return nil, err
			}
			inner = *n
		case isPending:
			inner.SetString(text)
		default:
			if err := inner.Encode(written(e.value, write)); err != nil {
				return nil, err
			}
		}
		mapping.Content = append(mapping.Content, &key, &inner)
	}
	return mapping, nil
}

// list makes a node of a list of mappings.
func (c *Config) list(several items, part string, write func(string) string) (*yaml.Node, error) {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for i, one := range several {
		n, err := c.tree(one, fmt.Sprintf("%s[%d]", part, i), write)
		if err != nil {
			return nil, err
		}
		list.Content = append(list.Content, n)
	}
	return list, nil
}

// written is a value with its texts written as told.
func written(v any, write func(string) string) any {
	switch v := v.(type) {
	case string:
		return write(v)
	case []string:
		texts := make([]string, len(v))
		for i, text := range v {
			texts[i] = write(text)
		}
		return texts
	}
	return v
}

func (c *Config) pendingText(key string) (string, bool) {
	for _, p := range c.pending {
		if p.mistake.Key == key {
			return p.text, true
		}
	}
	return "", false
}

// cutQuery leaves of a query only the sign that there is one.
func cutQuery(u string) string {
	if before, _, ok := strings.Cut(u, "?"); ok {
		return before + "?…"
	}
	return u
}
