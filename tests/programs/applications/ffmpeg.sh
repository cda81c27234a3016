# packages: ffmpeg
# prints: 25
ffmpeg -loglevel error -f lavfi -i testsrc=d=1:s=160x120 -c:v libx264 a.mp4; ffmpeg -loglevel error -i a.mp4 'f%03d.png'
ls f*.png | wc -l
