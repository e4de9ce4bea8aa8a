package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds the configuration; a real one has a few kilobytes.
const maxFile = 1 << 20

var (
	yamlError   = regexp.MustCompile(`(?s)^yaml: (?:line ([0-9]+): )?(.*)$`)
	noSuchAlias = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
)

// readTree reads file into the tree of its one YAML document.
func readTree(file string) (*yaml.Node, []Mistake) {
	data, err := readBounded(file)
	if err != nil {
		return nil, []Mistake{{Place: file, Text: err.Error()}}
	}
	if tabs := indentingTabs(file, data); len(tabs) > 0 {
		return nil, tabs
	}
	return parse(file, data)
}

func readBounded(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%w, check --config, BACKSTOP_CONFIG and the file's mode", bare(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w, name a readable file", bare(err))
	case len(data) > maxFile:
		return nil, errors.New("is larger than 1 MiB, this is no configuration of backstop")
	}
	return data, nil
}

// bare takes the path off an error of the file system; the mistake names it.
func bare(err error) error {
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// indentingTabs finds what YAML forbids and its parser explains badly.
func indentingTabs(file string, data []byte) []Mistake {
	var found []Mistake
	line := 0
	for text := range bytes.Lines(data) {
		line++
		body := bytes.TrimLeft(text, " \t")
		indent := text[:len(text)-len(body)]
		column := bytes.IndexByte(indent, '\t')
		if column < 0 || len(bytes.TrimSpace(body)) == 0 || body[0] == '#' {
			continue
		}
		found = append(found, Mistake{Place: file, Line: line, Col: column + 1, Text: "a tab indents this line, write spaces"})
	}
	return found
}

func parse(file string, data []byte) (*yaml.Node, []Mistake) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, []Mistake{emptyFile(file)}
	case err != nil:
		return nil, []Mistake{parseMistake(file, data, err)}
	}
	root := document.Content[0]
	if root.ShortTag() == "!!null" {
		return nil, []Mistake{emptyFile(file)}
	}
	switch err := decoder.Decode(&second); {
	case errors.Is(err, io.EOF):
		return root, nil
	case err != nil:
		return nil, []Mistake{parseMistake(file, data, err)}
	}
	return nil, []Mistake{{Place: file, Line: second.Line, Col: second.Column, Text: "a second document begins here, write one document only"}}
}

func emptyFile(file string) Mistake {
	return Mistake{Place: file, Line: 1, Col: 1, Text: "says nothing, write at least `heygen:` or remove the file"}
}

// parseMistake gives the parser's error our shape. The parser knows no column,
// and of an alias not even the line.
func parseMistake(file string, data []byte, err error) Mistake {
	m := Mistake{Place: file, Line: 1, Col: 1}
	parts := yamlError.FindStringSubmatch(err.Error())
	if parts == nil {
		m.Text = "is not YAML: " + err.Error()
		return m
	}
	if n, err := strconv.Atoi(parts[1]); err == nil && n > 0 {
		m.Line = n
	}
	why := strings.TrimSpace(parts[2])
	if alias := noSuchAlias.FindStringSubmatch(why); alias != nil { // its name may be a secret
		why = "an alias of nothing, put a value that begins with * in quotes"
		m.Line, m.Col = locate(data, "*"+alias[1])
	}
	m.Text = fmt.Sprintf("is not YAML here or just before: %s, check indentation, colons and quotes", why)
	return m
}

// locate finds the line and column at which text first stands.
func locate(data []byte, text string) (line, column int) {
	before, _, found := bytes.Cut(data, []byte(text))
	if !found {
		return 1, 1
	}
	return bytes.Count(before, []byte("\n")) + 1, len(before) - bytes.LastIndexByte(before, '\n')
}
