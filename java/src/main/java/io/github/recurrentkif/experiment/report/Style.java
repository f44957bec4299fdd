package io.github.recurrentkif.experiment.report;

/** How a page looks: on light and dark screens, narrow and wide, and on paper. */
final class Style {

  /** Light, unless the reader's screen is dark; paper is light. */
  static final String COLOURS =
      """
      :root { --ink: #1d2129; --soft: #5b6472; --line: #dde1e7; --paper: #ffffff; --card: #f6f7f9;
        --heat: #1d5fb4; --new: #d9661f; --old: #2f7fc1; --shared: #7b52ab; --redundant: #cfd5dd;
        --c0: #c2410c; --c1: #0369a1; --c2: #15803d; --c3: #7e22ce; --c4: #a16207;
        --c5: #be123c; --c6: #0f766e; --c7: #4338ca; --c8: #64748b; --c9: #db2777; }
      @media screen and (prefers-color-scheme: dark) {
        :root { --ink: #e6e8ec; --soft: #a3adbb; --line: #363d49; --paper: #14171c; --card: #1c2027;
          --heat: #74b0f4; --new: #f0894a; --old: #5ea8e6; --shared: #b190dc; --redundant: #404856;
          --c0: #fb923c; --c1: #38bdf8; --c2: #4ade80; --c3: #c084fc; --c4: #facc15;
          --c5: #fb7185; --c6: #2dd4bf; --c7: #a5b4fc; --c8: #94a3b8; --c9: #f472b6; } }
      """;

  /** Inside of drawings. */
  static final String DRAWING =
      """
      text { fill: var(--soft); font-size: 10px; } text.on { fill: var(--paper); }
      text.off { fill: var(--ink); } .grid { stroke: var(--line); stroke-width: 1; }
      .curve { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
      .task { stroke: var(--soft); stroke-width: .7; stroke-dasharray: 3 3; opacity: .7; }
      .cell { fill: var(--heat); } .own { stroke: var(--ink); stroke-width: 1.4; }
      .inside { fill: var(--ink); font-size: 9px; }
      """;

  static final String PAGE =
      """
      :root { color-scheme: light dark; }
      * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
      body { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif;
        color: var(--ink); background: var(--paper); max-width: 1180px; margin: 1.5rem auto 4rem;
        padding: 0 1rem; }
      h1 { font-size: 1.7rem; margin: 0 0 .3rem; }
      h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; border-bottom: 1px solid var(--line);
        padding-bottom: .3rem; }
      h3 { font-size: 1.02rem; margin: 1.4rem 0 .5rem; } h4 { font-size: .93rem; margin: 0 0 .5rem; }
      .lead { margin: .2rem 0 .8rem; } .note, figcaption, .caption { color: var(--soft); font-size: .86rem; }
      figcaption, .caption { line-height: 1.45; } figcaption { margin-top: .5rem; } .caption { max-width: 90ch; margin: .3rem 0 .7rem; } .note { max-width: 80ch; }
      .warning { border-left: 4px solid var(--c4); padding-left: .8rem; max-width: 85ch; }
      nav { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; font-size: .92rem; }
      a { color: var(--c1); text-decoration: none; } a:hover { text-decoration: underline; }
      table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums;
        margin: .4rem 0; }
      th, td { padding: .28rem .75rem .28rem 0; border-bottom: 1px solid var(--line);
        text-align: left; vertical-align: top; }
      th { font-weight: 600; } .numbers th, .numbers td { white-space: nowrap; }
      .numbers td:first-child { white-space: normal; min-width: 11rem; overflow-wrap: anywhere; }
      .numbers th:not(:first-child), .numbers td:not(:first-child) { text-align: right; }
      #runs th:nth-child(2), #runs td:nth-child(2), #runs th:nth-child(4), #runs td:nth-child(4) {
        text-align: left; padding-left: .75rem; }
      td i, .key i { display: inline-block; width: 1rem; height: .3rem; margin-right: .45rem;
        vertical-align: middle; border-radius: 1px; }
      .unfinished td { color: var(--soft); font-style: italic; }
      .settings td { overflow-wrap: anywhere; } .settings td:first-child { white-space: nowrap; }
      .key { margin: .3rem 0 .8rem; font-size: .9rem; } .key span { margin-right: 1.1rem;
        display: inline-block; }
      pre { background: var(--card); padding: .6rem .8rem; overflow-x: auto; font-size: .86rem; }
      .scroll { overflow-x: auto; } .wide { min-width: 560px; }
      .wide figure { max-width: 960px; } .map { min-width: 400px; }
      .charts, .matrices, .maps { display: grid; gap: .9rem; align-items: start;
        grid-template-columns: repeat(auto-fill, minmax(min(100%, 310px), 1fr)); }
      .matrices { grid-template-columns: repeat(auto-fill, minmax(min(100%, 350px), 1fr)); }
      .large { grid-template-columns: repeat(auto-fill, minmax(min(100%, 500px), 1fr)); }
      .maps { grid-template-columns: repeat(auto-fill, minmax(min(100%, 430px), 1fr)); }
      figure { margin: 0; background: var(--card); border-radius: 8px; padding: .8rem .9rem; }
      svg { display: block; width: 100%; height: auto; }
      details { margin: .6rem 0; } summary { cursor: pointer; }
      @media print {
        :root { color-scheme: light; --card: #ffffff; }
        body { font-size: 10.5pt; max-width: none; margin: 0; padding: 0; }
        nav { display: none; } h2, h3 { break-after: avoid; }
        figure { break-inside: avoid; border: 1px solid var(--line); padding: .5rem; }
        tr { break-inside: avoid; } .scroll { overflow: visible; } .wide, .map { min-width: 0; }
        .charts, .matrices, .maps, .large { grid-template-columns: repeat(2, 1fr); }
        .key, .caption { break-after: avoid; }
        details::details-content { content-visibility: visible; height: auto; }
        a { color: inherit; } .numbers th, .numbers td { white-space: normal; }
      }
      """;

  private Style() {}
}
