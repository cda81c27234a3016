// BuildKit's own parser, lexer and matchers as an oracle: a JSON request per line in, a JSON answer per line out.
// Built by `make`; used by buildkit_oracle.py.
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

type request struct {
	Kind, Text, Escape    string
	RawQuotes, RawEscapes bool
	SkipQuotes, KeepUnset bool
	Env                   map[string]string
	Paths                 []string
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<26)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for in.Scan() {
		var r request
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			panic(err)
		}
		out.Encode(answer(r))
	}
}

func answer(r request) (a map[string]any) {
	defer func() {
		if p := recover(); p != nil {
			a = map[string]any{"error": "panic"}
		}
	}()
	switch r.Kind {
	case "lex":
		l := shell.NewLex([]rune(r.Escape)[0])
		l.RawQuotes, l.RawEscapes, l.SkipProcessQuotes, l.SkipUnsetEnv = r.RawQuotes, r.RawEscapes, r.SkipQuotes, r.KeepUnset
		w, err := l.ProcessWordWithMap(r.Text, r.Env)
		if err != nil {
			return map[string]any{"error": err.Error()}
		}
		ws, _ := l.ProcessWordsWithMap(r.Text, r.Env)
		return map[string]any{"word": w, "words": ws}
	case "match":
		res := []any{}
		for _, p := range r.Paths {
			ok, err := filepath.Match(r.Text, p)
			if err != nil {
				res = append(res, "bad")
			} else {
				res = append(res, ok)
			}
		}
		return map[string]any{"matches": res}
	case "clean":
		return map[string]any{"word": filepath.Clean(r.Text)}
	case "ignore":
		pats, err := ignorefile.ReadAll(strings.NewReader(r.Text))
		if err != nil {
			return map[string]any{"error": err.Error()}
		}
		pm, err := patternmatcher.New(pats)
		if err != nil {
			return map[string]any{"error": err.Error()}
		}
		res := []any{}
		for _, p := range r.Paths {
			ok, info := false, patternmatcher.MatchInfo{}
			parts := strings.Split(p, "/")
			for i := range parts {
				ok, info, err = pm.MatchesUsingParentResults(strings.Join(parts[:i+1], "/"), info)
				if err != nil {
					return map[string]any{"error": err.Error()}
				}
			}
			res = append(res, ok)
		}
		return map[string]any{"matches": res}
	}
	res, err := parser.Parse(strings.NewReader(r.Text))
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	stages, meta, err := instructions.Parse(res.AST)
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	if len(stages) == 0 {
		return map[string]any{"error": "no stages"}
	}
	var ss []any
	for _, s := range stages {
		var cs []any
		for _, c := range s.Commands {
			var lo, hi int
			loc := c.Location()
			if len(loc) > 0 {
				lo, hi = loc[0].Start.Line, loc[len(loc)-1].Start.Line
			}
			m := map[string]any{"name": strings.ToUpper(c.Name()), "value": c, "first": lo, "last": hi}
			if run, ok := c.(*instructions.RunCommand); ok {
				m["network"] = instructions.GetNetwork(run)
			}
			if on, ok := c.(*instructions.OnbuildCommand); ok {
				m["trigger"] = on.Expression
			}
			cs = append(cs, m)
		}
		ss = append(ss, map[string]any{"base": s.BaseName, "name": s.Name, "platform": s.Platform, "commands": cs})
	}
	return map[string]any{"stages": ss, "meta": meta}
}
