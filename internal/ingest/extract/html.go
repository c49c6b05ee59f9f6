package extract

import (
	"bytes"
	"fmt"
	"strings"

	"codeberg.org/readeck/go-readability/v2"
	"github.com/JohannesKaufmann/html-to-markdown/v2/converter"
	"github.com/JohannesKaufmann/html-to-markdown/v2/plugin/base"
	"github.com/JohannesKaufmann/html-to-markdown/v2/plugin/commonmark"
	"github.com/JohannesKaufmann/html-to-markdown/v2/plugin/table"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
	"golang.org/x/net/html/charset"
)

// readHTML decodes the page by its own declaration, throws away what is not text, and reads the rest as Markdown.
func readHTML(src *source, s *sink) error {
	raw, err := src.bytes()
	if err != nil {
		return err
	}
	// The standard's default for an undeclared charset is Windows-1252; ours looks at the bytes.
	var text string
	if _, name, certain := charset.DetermineEncoding(raw[:min(len(raw), 1024)], "text/html"); certain && name != "utf-8" {
		text = decodeAs(raw, name)
	} else {
		text = decode(raw)
	}
	return readHTMLText(text, src, s)
}

func readHTMLText(text string, src *source, s *sink) error {
	doc, err := html.Parse(strings.NewReader(text))
	if err != nil {
		return damaged(src, "%v", err)
	}
	readHead(doc, s)
	prune(doc)
	node := mainPart(doc)
	conv := converter.NewConverter(converter.WithPlugins(base.NewBasePlugin(), commonmark.NewCommonmarkPlugin(),
		table.NewTablePlugin(table.WithSpanCellBehavior(table.SpanBehaviorMirror), table.WithHeaderPromotion(true),
			table.WithCellPaddingBehavior(table.CellPaddingBehaviorMinimal), table.WithNewlineBehavior(table.NewlineBehaviorPreserve))))
	md, err := conv.ConvertNode(node)
	if err != nil {
		return fmt.Errorf("convert %q: %w", src.Name, err)
	}
	return readMarkdownBody(md, s)
}

// readHead takes title, language and the common meta tags.
func readHead(doc *html.Node, s *sink) {
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.DataAtom {
		case atom.Html:
			if lang, _, _ := strings.Cut(attr(n, "lang"), "-"); len(lang) == 2 {
				s.res.Language = strings.ToLower(lang)
			}
		case atom.Title:
			if s.res.Title == "" && n.FirstChild != nil && n.Parent.DataAtom == atom.Head {
				s.res.Title = n.FirstChild.Data
			}
		case atom.Meta:
			name := strings.ToLower(attr(n, "name") + attr(n, "property"))
			switch name {
			case "author", "description", "keywords", "date":
				s.meta(name, attr(n, "content"))
			case "article:author":
				s.meta("author", attr(n, "content"))
			case "article:published_time":
				s.meta("created", attr(n, "content"))
			case "article:modified_time":
				s.meta("modified", attr(n, "content"))
			}
		}
	}
}

// prune removes what a reader of the page does not read.
func prune(doc *html.Node) {
	var gone []*html.Node
	for n := range doc.Descendants() {
		if n.Type == html.CommentNode {
			gone = append(gone, n)
			continue
		}
		if n.Type != html.ElementNode {
			continue
		}
		switch n.DataAtom {
		case atom.Script, atom.Style, atom.Noscript, atom.Template, atom.Iframe, atom.Object, atom.Svg, atom.Canvas,
			atom.Nav, atom.Button, atom.Select, atom.Input, atom.Textarea, atom.Dialog, atom.Img, atom.Video, atom.Audio:
			gone = append(gone, n)
			continue
		}
		style := strings.ReplaceAll(strings.ToLower(attr(n, "style")), " ", "")
		if has(n, "hidden") || attr(n, "aria-hidden") == "true" || attr(n, "role") == "navigation" || strings.Contains(style, "display:none") {
			gone = append(gone, n)
		}
	}
	for _, n := range gone {
		if n.Parent != nil && n.DataAtom != atom.Html && n.DataAtom != atom.Body {
			n.Parent.RemoveChild(n)
		}
	}
}

// mainPart picks what holds the text: the page's own main element; else, on a page that is mostly links, what
// readability finds, if that keeps most of the text outside of links; else everything.
func mainPart(doc *html.Node) *html.Node {
	text, linked := textBytes(doc)
	for _, tag := range []atom.Atom{atom.Main, atom.Article} {
		var found []*html.Node
		for n := range doc.Descendants() {
			if n.DataAtom == tag {
				found = append(found, n)
			}
		}
		if len(found) == 1 {
			if inside, _ := textBytes(found[0]); inside*2 > text-linked {
				return found[0]
			}
		}
	}
	if linked*10 < text*4 {
		return doc
	}
	var page bytes.Buffer
	if err := html.Render(&page, doc); err != nil {
		return doc
	}
	article, err := readability.FromReader(&page, nil)
	if err != nil || article.Node == nil {
		return doc
	}
	if inside, _ := textBytes(article.Node); inside*10 < (text-linked)*7 {
		return doc
	}
	return article.Node
}

// textBytes counts the text under n, and how much of it stands in links.
func textBytes(n *html.Node) (all, linked int) {
	for d := range n.Descendants() {
		if d.Type != html.TextNode {
			continue
		}
		size := len(strings.TrimSpace(d.Data))
		all += size
		for p := d.Parent; p != nil && p != n; p = p.Parent {
			if p.DataAtom == atom.A {
				linked += size
				break
			}
		}
	}
	return all, linked
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}
