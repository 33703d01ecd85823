/** HTML pages on their way through a proxy, with the links in their attributes rewritten. Loaded with the first such page. */
import { pipeline, Transform, type Readable } from 'node:stream';
import { createDeflateRaw, createGunzip, createGzip, createInflateRaw } from 'node:zlib';
import { RewritingStream } from 'parse5-html-rewriting-stream';
import { rewriteLink, type ProxiedPage } from './proxied-links.ts';

/** The attributes of each element that hold a URL. */
const URL_ATTRIBUTES: ReadonlyMap<string, ReadonlySet<string>> = new Map(
  Object.entries({
    a: 'href',
    applet: 'codebase',
    area: 'href',
    audio: 'src',
    base: 'href',
    blockquote: 'cite',
    body: 'background',
    button: 'formaction',
    command: 'icon',
    del: 'cite',
    embed: 'src',
    form: 'action',
    frame: 'longdesc src',
    head: 'profile',
    html: 'manifest',
    iframe: 'longdesc src',
    img: 'longdesc src usemap',
    input: 'src usemap formaction',
    ins: 'cite',
    link: 'href',
    object: 'classid codebase data usemap',
    q: 'cite',
    script: 'src',
    source: 'src',
    video: 'poster src',
  }).map(([element, attributes]) => [element, new Set(attributes.split(' '))]),
);

/** The page with its links rewritten, in the encoding that it has; undefined when that is not known here. */
export function rewriteLinks(body: Readable, encoding: string, page: ProxiedPage): Readable | undefined {
  const ignore = (): void => undefined; // whoever reads the last stream sees its error
  // The parser wants text and the page may be in any charset: a byte is a character on the way in and on the way out.
  const rewritten = (html: Readable): Readable =>
    pipeline(html.setEncoding('latin1'), linkRewriter(page), latin1Bytes(), ignore);
  switch (encoding) {
    case '':
      return rewritten(body);
    case 'gzip':
      return pipeline(rewritten(pipeline(body, createGunzip(), ignore)), createGzip(), ignore);
    case 'deflate':
      return pipeline(rewritten(pipeline(body, createInflateRaw(), ignore)), createDeflateRaw(), ignore);
    default:
      return undefined;
  }
}

function latin1Bytes(): Transform {
  return new Transform({
    decodeStrings: false,
    transform(chunk: string, _encoding, callback) {
      callback(null, Buffer.from(chunk, 'latin1'));
    },
  });
}

interface Place {
  readonly startOffset: number;
  readonly endOffset: number;
}
/** Where a tag and its attributes stand in the page; the parser's declared type leaves out the latter. */
interface TagLocation extends Place {
  readonly attrs?: Readonly<Record<string, Place>>;
}

/** Changes the links alone; every other byte of the page stays as it is. */
function linkRewriter(page: ProxiedPage): RewritingStream {
  const rewriter = new RewritingStream();
  rewriter.on('startTag', (tag, raw) => {
    const names = URL_ATTRIBUTES.get(tag.tagName);
    const location: TagLocation | null | undefined = tag.sourceCodeLocation;
    const startOffset = location?.startOffset ?? 0;
    let text = '';
    let done = 0;
    for (const { name } of tag.attrs) {
      const place = location?.attrs?.[name];
      if (place === undefined || names?.has(name) !== true) continue;
      const from = place.startOffset - startOffset;
      const to = place.endOffset - startOffset;
      text += raw.slice(done, from) + rewriteAttribute(raw.slice(from, to), page);
      done = to;
    }
    rewriter.emitRaw(text + raw.slice(done));
  });
  return rewriter;
}

/** `href="/a"`, `href='/a'` or `href=/a` */
function rewriteAttribute(raw: string, page: ProxiedPage): string {
  const [, start = '', value = '', end = ''] = /^([^=]*=\s*["']?)(.*?)(["']?)$/s.exec(raw) ?? [];
  return start === '' ? raw : start + rewriteLink(value, page) + end;
}
