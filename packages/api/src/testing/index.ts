export { sampleObject } from './sample-object.ts';
