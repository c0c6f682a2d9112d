// Package dashboard serves the web dashboard, a single-page application that is built into the binary.
//
// Its source is in web (TypeScript); dist is what `npm run build` makes of it, committed so that Go alone builds the hub.
package dashboard

import "embed"

// dist holds index.html, assets whose names carry a hash of what is in them, and beside each its .br and .gz where they are
// smaller.
//
//go:embed all:dist
var dist embed.FS
