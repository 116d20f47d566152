package config

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	maxFileBytes = 512 << 10
	maxTokens    = 100_000 // words and signs of one file
	maxKeys      = 500     // of one mapping: the parser's time is quadratic in them
	maxDepth     = 32      // levels of lists and mappings in each other
)

// parser turns the text of one file into a tree.
type fileParser struct {
	file     string
	problems *problems
}

// parse returns the tree of a file, nil when it is empty. What is not YAML, or too large, is
// reported and not ok.
func parse(file string, text []byte, problems *problems) (tree *node, ok bool) {
	p := &fileParser{file, problems}
	whole := position{file: file}
	switch {
	case len(text) > maxFileBytes:
		problems.fault(whole, "", "has %d bytes; at most %d are read", len(text), maxFileBytes)
		return nil, false
	case !utf8.Valid(text):
		problems.fault(p.offset(text, invalidOffset(text)), "", "is not UTF-8 text")
		return nil, false
	case bytes.IndexByte(text, 0) >= 0:
		problems.fault(p.offset(text, bytes.IndexByte(text, 0)), "", "holds a NUL byte")
		return nil, false
	}
	// The parser indexes tokens in many places; a configuration that makes it panic must be a
	// message with the file's name and not the end of a reload.
	defer func() {
		if r := recover(); r != nil {
			problems.fault(whole, "", "cannot be read as YAML: %v", r)
			tree, ok = nil, false
		}
	}()
	tokens := lexer.Tokenize(string(bytes.TrimPrefix(text, []byte("\ufeff"))))
	if !p.bounded(tokens) {
		return nil, false
	}
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		p.syntax(err)
		return nil, false
	}
	return p.documents(f)
}

func (p *fileParser) syntax(err error) {
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) && syntax.Token != nil {
		p.problems.fault(p.at(syntax.Token), "", "cannot be read as YAML: %s near %s", syntax.Message, clip(syntax.Token.Value))
		return
	}
	p.problems.fault(position{file: p.file}, "", "cannot be read as YAML: %v", err)
}

// documents returns the one document of a file.
func (p *fileParser) documents(f *ast.File) (tree *node, ok bool) {
	for _, doc := range f.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if directive, ok := doc.Body.(*ast.DirectiveNode); ok {
			p.problems.fault(p.at(directive.Start), "", "directives are not read here; remove the line")
			return nil, false
		}
		if tree != nil {
			at := position{file: p.file}
			if doc.Start != nil {
				at = p.at(doc.Start)
			}
			p.problems.fault(at, "", "a second document; write one file for each, in conf.d")
			return nil, false
		}
		tree = p.convert(doc.Body, position{p.file, 1, 1}, "", 0)
	}
	switch {
	case tree == nil || tree.kind == nullNode:
		return nil, true
	case tree.kind == badNode:
		return nil, false
	case tree.kind != mapNode:
		p.problems.fault(tree.at, "", "is %s%s; want %s", tree.kind, tree.quoted(), rootShape().want())
		return nil, false
	}
	return tree, true
}

// convert copies a part of the parser's tree. A node without a token of its own, such as a
// missing value, gets the place at, which is its key's.
func (p *fileParser) convert(n ast.Node, at position, path string, depth int) *node {
	if n == nil {
		return &node{kind: nullNode, at: at}
	}
	if depth > maxDepth {
		p.problems.fault(at, path, "more than %d levels of lists and mappings", maxDepth)
		return &node{kind: badNode, at: at}
	}
	switch n := n.(type) {
	case *ast.NullNode:
		return &node{kind: nullNode, at: at}
	case *ast.MappingNode:
		return p.mapping(n, n.Values, at, path, depth)
	case *ast.MappingValueNode:
		return p.mapping(nil, []*ast.MappingValueNode{n}, at, path, depth)
	case *ast.SequenceNode:
		out := &node{kind: listNode, at: p.at(n.Start)}
		for i, item := range n.Values {
			at := out.at
			if i < len(n.Entries) && n.Entries[i] != nil && n.Entries[i].Start != nil {
				at = p.at(n.Entries[i].Start)
			}
			out.items = append(out.items, p.convert(item, at, joinIndex(path, i), depth+1))
		}
		return out
	case *ast.LiteralNode:
		return &node{kind: scalarNode, at: p.at(n.Start), text: n.Value.Value}
	case *ast.StringNode:
		return &node{kind: scalarNode, at: p.at(n.Token), text: n.Value, plain: n.Token.Type == token.StringType}
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		t := n.GetToken()
		return &node{kind: scalarNode, at: p.at(t), text: t.Value, plain: true}
	case *ast.AnchorNode:
		return p.refuse(n.Start, path, "anchors and aliases are not read here; write the value out")
	case *ast.AliasNode:
		return p.refuse(n.Start, path, "anchors and aliases are not read here; write the value out")
	case *ast.TagNode:
		return p.refuse(n.Start, path, "the tag %s is not read here; remove it", clip(n.Start.Value))
	default:
		return p.refuse(n.GetToken(), path, "%s is not read here", n.Type())
	}
}

// mapping converts the pairs of a mapping. Whole is nil for a block mapping of one pair.
func (p *fileParser) mapping(whole *ast.MappingNode, pairs []*ast.MappingValueNode, at position, path string, depth int) *node {
	out := &node{kind: mapNode, at: at}
	switch {
	case whole != nil && whole.IsFlowStyle:
		out.at = p.at(whole.Start)
	case len(pairs) > 0 && pairs[0].Key != nil:
		out.at = p.at(pairs[0].Key.GetToken())
	}
	for _, pair := range pairs {
		key, ok := p.key(pair.Key, path)
		if !ok {
			continue
		}
		key.value = p.convert(pair.Value, key.at, joinKey(path, key.key), depth+1)
		if i := out.index(key.key); i >= 0 {
			p.problems.fault(key.at, joinKey(path, key.key), "key %s is written twice; first on line %d",
				clip(key.key), out.entries[i].at.line)
			continue
		}
		out.entries = append(out.entries, key)
	}
	return out
}

// key returns a mapping's key; other than plain words are refused.
func (p *fileParser) key(n ast.MapKeyNode, path string) (entry, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return entry{key: n.Value, at: p.at(n.Token)}, true
	case *ast.MergeKeyNode:
		p.refuse(n.Token, path, "merge keys are not read here; write the keys out")
	case *ast.AnchorNode, *ast.AliasNode:
		p.refuse(n.GetToken(), path, "anchors and aliases are not read here; write the key out")
	case nil:
		p.refuse(nil, path, "a key is missing")
	default:
		p.refuse(n.GetToken(), path, "a key must be a word")
	}
	return entry{}, false
}

// refuse reports a part that is legal YAML and not read here.
func (p *fileParser) refuse(t *token.Token, path, format string, args ...any) *node {
	at := p.at(t)
	p.problems.fault(at, path, "%s", fmt.Sprintf(format, args...))
	return &node{kind: badNode, at: at}
}

func (p *fileParser) at(t *token.Token) position {
	if t == nil || t.Position == nil {
		return position{file: p.file}
	}
	return position{p.file, t.Position.Line, t.Position.Column}
}

// offset returns the place of a byte.
func (p *fileParser) offset(text []byte, i int) position {
	line := 1 + bytes.Count(text[:i], []byte("\n"))
	start := bytes.LastIndexByte(text[:i], '\n') + 1
	return position{p.file, line, 1 + utf8.RuneCount(text[start:i])}
}

// invalidOffset returns the offset of the first byte that is not UTF-8, or the length.
func invalidOffset(text []byte) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return len(text)
}
