package heygen

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// FuzzFact: data that never was validated harms nothing. Of data that is JSON
// the content key stays the same when it is written another way (names in
// another order, other white space, other escapes, links signed anew) and
// changes when one value says something else.
func FuzzFact(f *testing.F) {
	for _, seed := range []string{
		`{"video_id":"v","a":[1,{}]}`, `{"video_id":"v",`, `{"id":"\`, `{"a"::`, `[:`, `{"video_id":"v","a":[:]}`, `{"id":7,"url":"https://h/?x","list":["http://h/",null,true,-0.10e1]}`,
		`{"video_id":"v","a":1,"a":2}`, "{\"id\":\"\xff\",\"x\":\"\\ud800\"}", `{"video\u005fid":"v","session_id":"","x":{"b":{"d":1,"c":[]},"a":"é\/"}}`, ` {"id" : "i" } `,
		`{"callback_id":"c","x":"https:","y":"https://"}`, `{"id":"https://h/a"}`,
	} {
		f.Add("avatar_video.success", []byte(seed), uint64(1))
	}
	f.Fuzz(func(t *testing.T, typ string, data []byte, seed uint64) {
		fact, ok := FactOf(typ, data)
		if again, ok2 := FactOf(typ, data); fact != again || ok != ok2 || ok == fact.IsZero() {
			t.Error("a fact that is not one")
		}
		if entity := entityOf(data); ok && (entity == "" || absolute([]byte(entity))) || !ok || !jsontext.Value(data).IsValid(looseJSON()...) {
			return // an entity that is a link is part of the key, and is no id that anybody gives
		}
		r := &rewriter{rand: rand.New(rand.NewPCG(seed, 0)), spoil: -1}
		other := r.value(data)
		if same, ok := FactOf(typ, other); !ok || same != fact {
			t.Errorf("another fact (%v)\nof %q\nas %q", ok, data, other)
		}
		spoiled := (&rewriter{rand: rand.New(rand.NewPCG(seed, 0)), spoil: int(seed % uint64(r.leaves+1))}).value(data)
		if same, ok := FactOf(typ, spoiled); ok && same == fact && r.leaves > int(seed%uint64(r.leaves+1)) {
			t.Errorf("the same fact\nof %q\nas %q", data, spoiled)
		}
		if same, _ := FactOf(typ+"x", data); same == fact {
			t.Error("the same fact of another type")
		}
	})
}

func looseJSON() []jsontext.Options {
	return []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
}

// rewriter writes JSON in another way that says the same; but the leaf that it
// is told to spoil says something else. Leaves are scalars that are no links.
type rewriter struct {
	rand   *rand.Rand
	spoil  int // which leaf; -1 none
	leaves int // met so far
}

func (r *rewriter) value(raw []byte) []byte {
	raw = bytes.TrimSpace(raw)
	switch raw[0] {
	case '{', '[':
		return r.nested(raw)
	case '"':
		if text, err := jsontext.AppendUnquote(nil, raw); absolute(text) {
			return r.quote(append(text, "&again"...), raw, err)
		}
	}
	r.leaves++
	if r.leaves-1 == r.spoil {
		return spoiled(raw)
	}
	if raw[0] != '"' {
		return raw
	}
	text, err := jsontext.AppendUnquote(nil, raw)
	return r.quote(text, raw, err)
}

// spoiled says something else than raw, and is no link.
func spoiled(raw []byte) []byte {
	if raw[0] != '"' {
		return []byte(`"` + string(raw) + `"`)
	}
	return []byte(`"!` + string(raw[1:]))
}

// nested takes the members apart and puts them together in another order, but
// for an object with a name twice, whose order counts, and for arrays.
func (r *rewriter) nested(raw []byte) []byte {
	dec := jsontext.NewDecoder(bytes.NewReader(raw), looseJSON()...)
	_, _ = dec.ReadToken()
	var members [][]byte
	names, twice := map[string]bool{}, false
	for dec.PeekKind() != '}' && dec.PeekKind() != ']' {
		var member []byte
		if raw[0] == '{' {
			name, _ := dec.ReadValue()
			text, err := jsontext.AppendUnquote(nil, name)
			twice = twice || names[string(text)]
			names[string(text)] = true
			member = append(r.quote(text, bytes.Clone(name), err), " :\t"...)
		}
		value, _ := dec.ReadValue()
		members = append(members, append(member, r.value(bytes.Clone(value))...))
	}
	if raw[0] == '{' && !twice {
		r.rand.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	}
	out := append([]byte{raw[0], ' '}, bytes.Join(members, []byte(" ,\n"))...)
	return append(out, ' ', raw[len(raw)-1])
}

// quote writes a string, now and then with every ASCII letter escaped. One that
// means nothing stays as it stands, and so does a long one: an entity is bounded
// as it is written.
func (r *rewriter) quote(text, raw []byte, err error) []byte {
	if err != nil || len(raw) > maxEntity/6 {
		return raw
	}
	if r.rand.IntN(2) == 0 {
		quoted, _ := jsontext.AppendQuote(nil, text)
		return quoted
	}
	quoted := []byte{'"'}
	for _, c := range string(text) {
		if c > 0xffff {
			quoted = append(quoted, string(c)...)
			continue
		}
		quoted = append(append(quoted, `\u`...), hex.EncodeToString([]byte{byte(c >> 8), byte(c)})...)
	}
	return append(quoted, '"')
}

// FuzzSign: a signature is that of its body under its secret and of nothing
// else, and the body of a push holds two keys and the data as it was.
func FuzzSign(f *testing.F) {
	f.Add("whsec_x", "avatar_video.success", []byte(`{"video_id":"v"}`), "00")
	f.Add("", "t\xff<&>\u2028", []byte(" [1, 2]\n"), strings.Repeat("g", 64))
	f.Add("\x00", "", []byte("null"), strings.Repeat("AB", 32))
	f.Fuzz(func(t *testing.T, secret, typ string, data []byte, signature string) {
		body := Body(typ, data)
		right := Sign(secret, body)
		if Verify([]string{"", secret}, body, " "+strings.ToUpper(right)+"\n") != (secret != "") {
			t.Error("the right signature does not verify, or one of no secret does")
		}
		if Verify([]string{secret}, body, signature) != (secret != "" && strings.EqualFold(strings.TrimSpace(signature), right)) {
			t.Errorf("%q verifies, right is %s", signature, right)
		}
		if Verify([]string{secret}, append(body, ' '), right) || Verify([]string{secret + "x"}, body, right) || Verify(nil, body, right) {
			t.Error("it verifies for another body, another secret, or none")
		}
		if json.Valid(data) {
			twoKeys(t, body, typ, data)
		}
	})
}

// twoKeys: event_type and event_data, in this order, and nothing else.
func twoKeys(t *testing.T, body []byte, typ string, data []byte) {
	names, ok := memberNames(body)
	if !ok || !json.Valid(body) || strings.Join(names, ",") != "event_type,event_data" {
		t.Fatalf("the keys are %q in %q", names, body)
	}
	var push struct {
		Type string          `json:"event_type"`
		Data json.RawMessage `json:"event_data"`
	}
	mustUnmarshal(t, body, &push)
	if push.Type != strings.ToValidUTF8(typ, "\ufffd") && strings.ToValidUTF8(typ, "") == typ || !bytes.Equal(push.Data, bytes.TrimSpace(data)) {
		t.Errorf("%q, %q became %q", typ, data, body)
	}
	if !bytes.HasSuffix(body, append(bytes.Clone(data), '}')) {
		t.Errorf("the data is not byte for byte as it was: %q", body)
	}
}
