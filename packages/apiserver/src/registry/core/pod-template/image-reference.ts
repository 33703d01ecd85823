/**
 * Whether an image reference means the tag `latest`: it says so, or it names neither a tag nor a digest. References that
 * cannot be parsed have no tag (parsers.ParseImageName ignores the error), so they are not `latest`.
 *
 *     nginx → latest   nginx:1.27 → not   nginx@sha256:… → not   localhost:5000/nginx → latest   NGINX → not
 */
const COMPONENT = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const HOST =
  '(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\\[[0-9a-fA-F:]+\\])(?::[0-9]+)?';
const REFERENCE = new RegExp(
  `^(?:${HOST}/)?${COMPONENT}(?:/${COMPONENT})*(?::([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@([A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?$`,
);
const MAX_LENGTH = 4096;

const known = new Map<string, boolean>();
const KNOWN_LIMIT = 1000;

export function isLatestTag(image: string): boolean {
  let latest = known.get(image);
  if (latest === undefined) {
    latest = computeLatest(image);
    if (known.size >= KNOWN_LIMIT) known.clear();
    known.set(image, latest);
  }
  return latest;
}

function computeLatest(image: string): boolean {
  if (image.length > MAX_LENGTH || /^[a-f0-9]{64}$/.test(image)) return false;
  const match = REFERENCE.exec(image);
  if (match === null) return false;
  return match[1] === undefined ? match[2] === undefined : match[1] === 'latest';
}
