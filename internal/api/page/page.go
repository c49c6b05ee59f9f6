// Package page is the plain status page at /, until the console takes its place: health, collections, the last calls and what
// was spent today. The page itself holds nothing; it asks for a key and reads the admin API with it.
package page

import (
	"embed"
	"net/http"
)

//go:embed status.html status.js status.css
var files embed.FS

// Handler serves the page and its two assets.
func Handler() http.Handler {
	serve := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		switch r.URL.Path {
		case "/":
			http.ServeFileFS(w, r, files, "status.html")
		default:
			http.StripPrefix("/assets/", serve).ServeHTTP(w, r)
		}
	})
}
