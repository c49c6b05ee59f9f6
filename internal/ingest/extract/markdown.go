package extract

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/parser"
	gtext "github.com/yuin/goldmark/text"
	"golang.org/x/net/html"
)

// readMarkdown takes the front matter as metadata and the rest as blocks.
func readMarkdown(text string, s *sink) error {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if matter, body, found := frontMatter(text); found {
		if err := readFrontMatter(matter, s); err != nil {
			s.warn("the front matter is not valid YAML and was left out: %v", firstLine(err.Error()))
		}
		text = body
	}
	return readMarkdownBody([]byte(text), s)
}

// frontMatter splits what stands between a first line "---" and the next.
func frontMatter(text string) (matter, body string, found bool) {
	rest, found := strings.CutPrefix(text, "---\n")
	if !found {
		return "", text, false
	}
	for _, end := range []string{"\n---\n", "\n...\n"} {
		if i := strings.Index("\n"+rest, end); i >= 0 && i <= 64<<10 {
			return ("\n" + rest)[:i], ("\n" + rest)[i+len(end):], true
		}
	}
	return "", text, false
}

func readFrontMatter(matter string, s *sink) error {
	if strings.Contains(matter, "&") && strings.Contains(matter, "*") {
		return fmt.Errorf("anchors and aliases are not read")
	}
	var values yaml.MapSlice
	if err := yaml.Unmarshal([]byte(matter), &values); err != nil {
		return err
	}
	for _, v := range values {
		key := strings.ToLower(fmt.Sprint(v.Key))
		value := plain(v.Value)
		if key == "title" {
			s.res.Title = value
		}
		s.meta(key, value)
	}
	return nil
}

// plain writes a YAML value on one line: lists with commas, maps as "key: value".
func plain(v any) string {
	var parts []string
	switch v := v.(type) {
	case nil:
		return ""
	case []any:
		for _, e := range v {
			parts = append(parts, plain(e))
		}
	case map[string]any:
		return fmt.Sprint(v)
	case yaml.MapSlice:
		for _, e := range v {
			parts = append(parts, fmt.Sprintf("%v: %s", e.Key, plain(e.Value)))
		}
	default:
		return fmt.Sprint(v)
	}
	return strings.Join(parts, ", ")
}

func readMarkdownBody(text []byte, s *sink) error {
	md := goldmark.New(goldmark.WithExtensions(extension.Table, extension.Strikethrough),
		goldmark.WithParserOptions(parser.WithAutoHeadingID()))
	root := md.Parser().Parse(gtext.NewReader(text))
	w := markdownWalk{text: text, sink: s}
	return w.blocks(root)
}

// markdownWalk turns the syntax tree into blocks.
type markdownWalk struct {
	text []byte
	sink *sink
}

func (w *markdownWalk) blocks(parent ast.Node) error {
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		if err := w.block(n); err != nil {
			return err
		}
	}
	return nil
}

func (w *markdownWalk) block(n ast.Node) error {
	switch n := n.(type) {
	case *ast.Heading:
		b := Block{Kind: KindHeading, Text: strings.ReplaceAll(w.inline(n), "\n", " "), Level: n.Level}
		if id, ok := n.AttributeString("id"); ok {
			if id, ok := id.([]byte); ok {
				b.Anchor = "#" + string(id)
			}
		}
		return w.sink.add(b)
	case *ast.Paragraph, *ast.TextBlock:
		return w.sink.add(Block{Kind: KindText, Text: w.inline(n)})
	case *ast.List:
		var lines []string
		w.list(n, 0, &lines)
		return w.sink.add(Block{Kind: KindList, Text: strings.Join(lines, "\n")})
	case *ast.CodeBlock, *ast.FencedCodeBlock:
		return w.sink.add(Block{Kind: KindCode, Text: strings.TrimRight(w.lines(n), "\n")})
	case *ast.HTMLBlock:
		return w.sink.add(Block{Kind: KindText, Text: stripTags(w.lines(n))})
	case *extast.Table:
		return w.sink.add(w.table(n))
	}
	return w.blocks(n)
}

const maxDepth = 64 // of nested lists, of nested JSON, of nested tables

// list writes one line an item, nested items indented under theirs.
func (w *markdownWalk) list(list *ast.List, depth int, lines *[]string) {
	number := list.Start
	for item := list.FirstChild(); item != nil; item = item.NextSibling() {
		mark := "- "
		if list.IsOrdered() {
			mark = fmt.Sprintf("%d. ", number)
			number++
		}
		indent := strings.Repeat("  ", min(depth, 8))
		for child := item.FirstChild(); child != nil; child = child.NextSibling() {
			var text string
			switch child := child.(type) {
			case *ast.List:
				if depth < maxDepth {
					w.list(child, depth+1, lines)
				}
				continue
			case *ast.CodeBlock, *ast.FencedCodeBlock:
				text = strings.TrimRight(w.lines(child), "\n")
			case *extast.Table:
				text = w.table(child).Text
			default:
				text = w.inline(child)
			}
			if text == "" {
				continue
			}
			*lines = append(*lines, indent+mark+strings.ReplaceAll(text, "\n", "\n"+indent+"  "))
			mark = "  "
		}
	}
}

func (w *markdownWalk) table(table *extast.Table) Block {
	b := Block{Kind: KindTable}
	var rows []string
	for row := table.FirstChild(); row != nil; row = row.NextSibling() {
		var cells []string
		for cell := row.FirstChild(); cell != nil; cell = cell.NextSibling() {
			cells = append(cells, w.inline(cell))
		}
		line := tableRow(cells)
		if line == "" {
			continue
		}
		if _, is := row.(*extast.TableHeader); is {
			b.Header++
		}
		rows = append(rows, line)
	}
	if b.Text = strings.Join(rows, "\n"); len(rows) <= b.Header {
		b.Header = 0
	}
	return b
}

// tableRow writes the cells of one row on one line, "" when all are empty.
func tableRow(cells []string) string {
	empty := true
	for i, c := range cells {
		cells[i] = strings.Join(strings.Fields(clean(c)), " ")
		empty = empty && cells[i] == ""
	}
	if empty {
		return ""
	}
	return strings.TrimSpace(strings.Join(cells, " | "))
}

// inline is the text of a node's inline children without their marks.
func (w *markdownWalk) inline(n ast.Node) string {
	var out strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		switch n := n.(type) {
		case *ast.Text:
			if !entering {
				break
			}
			out.WriteString(html.UnescapeString(unescape(n.Value(w.text), n.IsRaw())))
			switch {
			case n.HardLineBreak():
				out.WriteByte('\n')
			case n.SoftLineBreak():
				out.WriteByte(' ')
			}
		case *ast.String:
			if entering {
				out.Write(n.Value)
			}
		case *ast.AutoLink:
			if entering {
				out.Write(n.Label(w.text))
			}
		case *ast.Paragraph, *ast.TextBlock:
			if !entering {
				out.WriteByte('\n')
			}
		}
		return ast.WalkContinue, nil
	})
	return strings.TrimSpace(out.String())
}

// unescape takes the backslash from escaped punctuation, as rendering would.
func unescape(text []byte, raw bool) string {
	if raw || !strings.Contains(string(text), `\`) {
		return string(text)
	}
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) && strings.IndexByte("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", text[i+1]) >= 0 {
			i++
		}
		out.WriteByte(text[i])
	}
	return out.String()
}

func (w *markdownWalk) lines(n ast.Node) string {
	var out strings.Builder
	for i := range n.Lines().Len() {
		line := n.Lines().At(i)
		out.Write(line.Value(w.text))
	}
	return out.String()
}

// stripTags is the text of a piece of HTML within Markdown.
func stripTags(piece string) string {
	var out strings.Builder
	skip := ""
	tokens := html.NewTokenizer(strings.NewReader(piece))
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			return strings.TrimSpace(out.String())
		case html.TextToken:
			if skip == "" {
				out.Write(tokens.Text())
			}
		case html.StartTagToken:
			if name, _ := tokens.TagName(); string(name) == "script" || string(name) == "style" {
				skip = string(name)
			}
		case html.EndTagToken:
			if name, _ := tokens.TagName(); string(name) == skip {
				skip = ""
			}
		}
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
