// The same pictures with sharp: JSON lines {id, source, main, thumb, box, thumb_box, quality, effort} in, {id} or
// {id, error} out. As many at once as lines have come.
import { createInterface } from "node:readline";
import sharp from "sharp";

sharp.concurrency(1);
sharp.cache(false);

async function encode({ source, main, thumb, box, thumb_box: thumbBox, quality, effort }) {
  const avif = { quality, effort, chromaSubsampling: "4:2:0" }; // as libvips does it by itself
  const inside = { fit: "inside", withoutEnlargement: true };
  // Decoded and fitted once, then saved twice: faster than reading the source for each.
  const fitted = sharp(source).autoOrient().resize(box, box, inside).toColourspace("srgb");
  const { data, info } = await fitted.raw().toBuffer({ resolveWithObject: true });
  const raw = { width: info.width, height: info.height, channels: info.channels };
  await sharp(data, { raw }).avif(avif).toFile(main);
  await sharp(data, { raw }).resize(thumbBox, thumbBox, inside).avif(avif).toFile(thumb);
}

console.log(JSON.stringify({ ready: `sharp ${sharp.versions.sharp} with libvips ${sharp.versions.vips}` }));
for await (const line of createInterface({ input: process.stdin })) {
  const work = JSON.parse(line);
  encode(work).then(
    () => console.log(JSON.stringify({ id: work.id })),
    (error) => console.log(JSON.stringify({ id: work.id, error: String(error) })),
  );
}
